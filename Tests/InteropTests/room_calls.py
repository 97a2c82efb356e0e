"""Whole calls through the page: who offers, which candidates, what is sent, how fast."""
import asyncio

from net import has_ipv6


class Calls:
    async def calls(self):
        async def both(s, first, **options):
            page, call = await s.pair(first, **options)
            await asyncio.sleep(1)
            await s.check_page_plays(page)
            stats = await page.stats()
            s.result.check("transport", stats["transport"].get("dtlsState") == "connected",
                           f"{stats['transport'].get('srtpCipher')}, {stats['local'].get('candidateType')}-"
                           f"{stats['remote'].get('candidateType')}, rtt {1000 * stats['pair'].get('currentRoundTripTime', 0):.0f} ms")
            total = (await page.stats())["video_in"].get("framesDecoded", 0)
            await asyncio.sleep(max(0, s.room.seconds - 5))
            last = await page.stats()
            s.result.check("to the end", last["video_in"].get("framesDecoded", 0) > total and last["audio_in"].get(
                "totalAudioEnergy", 0) > 0, f"{last['video_in'].get('framesDecoded')} frames {last['video_in'].get('frameWidth')}x"
                f"{last['video_in'].get('frameHeight')}, {last['video_in'].get('freezeCount')} freezes, energy "
                f"{last['audio_in'].get('totalAudioEnergy', 0):.2f}")
            await s.check_end(call)
            s.result.check("page says why it ended", await page.until("postern.phase !== 'connected'", 5),
                           await page.evaluate("document.getElementById('headline').textContent"))
            s.check_recording(call.record_path, s.room.seconds, source="device" if options.get("source", "both") == "both" else "test")
            s.check_console(page)
            return page

        for first, name in (("postern", "chromium offers"), ("page", "postern offers")):
            await self.scenario(name, lambda s, f=first: both(s, f))

        async def named(s, first):
            page = await both(s, first, source="test")
            log = await page.evaluate("postern.log.lines.map(line => line.text).filter(text => text.startsWith('own candidate'))")
            s.result.check("own candidates are mDNS names", log and all(".local" in line for line in log), len(log or []))

        for first, name in (("postern", "mDNS names, chromium offers"), ("page", "mDNS names, postern offers")):
            await self.scenario(name, lambda s, f=first: named(s, f), browser=self.shy)

        async def plain(s):
            """The twin: with the camera granted there is no name to resolve."""
            page, call = await s.pair("postern", seconds=4)
            log = await page.evaluate("postern.log.lines.map(line => line.text).filter(text => text.startsWith('own candidate'))")
            s.result.check("addresses, no names", log and not any(".local" in line for line in log), len(log or []))
            await s.check_end(call)
        await self.scenario("no mDNS names where the camera is granted", plain)

        if has_ipv6():
            async def only_six(page):
                # Signalling on ::1; of the media's addresses the page neither says nor hears an IPv4 one.
                await page.command("Page.addScriptToEvaluateOnNewDocument", {"source": r"""
                  const isFour = text => /^(candidate:\S+ \d+ \S+ \d+ )\d+\.\d+\.\d+\.\d+ /.test(text || '');
                  const add = RTCPeerConnection.prototype.addIceCandidate, send = WebSocket.prototype.send, set = RTCPeerConnection.prototype.setRemoteDescription;
                  const drop = sdp => sdp.split('\r\n').filter(line => !isFour(line.replace(/^a=/, ''))).join('\r\n');
                  RTCPeerConnection.prototype.addIceCandidate = function (one) { return one && isFour(one.candidate) ? Promise.resolve() : add.call(this, one); };
                  RTCPeerConnection.prototype.setRemoteDescription = function (one) { return set.call(this, {type: one.type, sdp: drop(one.sdp)}); };
                  WebSocket.prototype.send = function (text) { const m = JSON.parse(text); if (m.type === 'candidate' && isFour(m.candidate)) return;
                    if (m.sdp) m.sdp = drop(m.sdp); send.call(this, JSON.stringify(m)); };"""})
                await page.go()

            async def six(s, first):
                page, call = await s.pair(first, prepare=only_six)
                await s.check_page_plays(page)
                stats = await page.stats()
                addresses = [stats[side].get("address") or "" for side in ("local", "remote")]
                s.result.check("over IPv6", any(":" in a for a in addresses) and not any("." in a for a in addresses), addresses)
                await s.check_end(call)
                s.check_recording(call.record_path, s.room.seconds)
            for first, name in (("postern", "IPv6 only, chromium offers"), ("page", "IPv6 only, postern offers")):
                await self.scenario(name, lambda s, f=first: six(s, f), host="::1")
        else:
            print("!!! room: no IPv6 address here: the IPv6 scenarios were NOT run")

        async def quick(s, first):
            """The first frame within a second of joining, in ten calls; the phases are the page's own and those of Postern's report."""
            runs = []
            for index in range(10):
                page = await s.page()
                room = f"q{index}"
                if first == "page":
                    await page.join(room)
                    await page.until("postern.phase === 'waiting'", 10)
                call = await s.call(room, seconds=2, name=f"call{index}", record=f"{index}.webm")
                if first == "postern":
                    await s.present(1)
                    await page.join(room)
                await page.until("postern.state.marks.firstFrame", 10)
                marks = await page.evaluate("postern.state.marks")
                # Whoever came second has joined when the two know of each other.
                zero = max(marks["joined"], marks.get("peer", 0))
                end = await call.ended(call.seconds + 30)
                if ("offerSent" in marks) != (first == "postern"):
                    s.result.check(f"who offers in call {index}", False, ", ".join(marks))
                if end != 0:
                    s.result.check(f"exit of call {index}", False, f"exit {end}: {call.said()[-200:]}")
                report = call.report()
                runs.append({"total": marks.get("firstFrame", 1e9) - zero, "click": marks.get("firstFrame", 1e9) - marks["join"],
                             "page": {name: round(at - zero) for name, at in marks.items() if at >= zero},
                             "signaling": report.get("signaling") or {}, "transport": report.get("timings") or {}})
                # It leaves, so that its place does not wait for it: the next call counts who is there.
                await page.click("hang")
                await asyncio.sleep(0.2)
                await page.close()
                s.pages.remove(page)
            runs.sort(key=lambda run: run["total"])
            middle, slowest = runs[len(runs) // 2], runs[-1]
            s.result.check("first frame within 1 s of joining", slowest["total"] < 1000,
                           f"{len(runs)} calls: median {middle['total']:.0f} ms, slowest {slowest['total']:.0f} ms"
                           + (f"; from the click on Join {middle['click']:.0f} and {slowest['click']:.0f} ms" if first == "postern" else ""))
            for name, run in (("phases of the median", middle), ("of the slowest", slowest)):
                s.result.check(name, run["page"], "; ".join((
                    "page " + phases(run["page"]), "postern since its WebSocket: " + phases(run["signaling"]),
                    "since both descriptions: " + phases(run["transport"]))))

        def phases(times):
            """Milliseconds, in the order of time."""
            known = [(name, at) for name, at in times.items() if isinstance(at, (int, float))]
            return ", ".join(f"{name} {at:.0f}" for name, at in sorted(known, key=lambda one: one[1]))
        await self.scenario("set-up, chromium offers", lambda s: quick(s, "postern"))
        await self.scenario("set-up, postern offers", lambda s: quick(s, "page"))

        async def sources(s, source, kinds, sends):
            page, call = await s.pair("postern", source=source, seconds=6)
            await asyncio.sleep(1)
            await s.check_page_plays(page)
            directions = await page.evaluate("postern.pc.getTransceivers().map(one => one.receiver.track.kind + ' ' + one.currentDirection).join(', ')")
            s.result.check("directions", all(one in directions for one in sends), directions)
            await s.check_end(call)
            if kinds:
                s.check_recording(call.record_path, 6, kinds=kinds, source=None)
        await self.scenario("microphone only", lambda s: sources(s, "audio", ("audio",), ("audio sendrecv", "video recvonly")))
        await self.scenario("receive only", lambda s: sources(s, "none", (), ("audio recvonly", "video recvonly")))
        await self.scenario("test picture and tone", lambda s: sources(s, "test", ("audio", "video"), ("audio sendrecv", "video sendrecv")))

        async def two_pages(s):
            one, two = await s.page(), await s.page()
            await one.join("p", "test")
            await one.until("postern.phase === 'waiting'", 10)
            await two.join("p", "test", name="Two")
            s.result.check("connected", await one.connected() and await two.connected())
            await s.check_page_plays(one)
            await s.check_page_plays(two)
            # Both offer in the same moment, again and again: perfect negotiation.
            for _ in range(3):
                await asyncio.gather(one.click("restart"), two.click("restart"))
                await asyncio.sleep(0.7)
            s.result.check("glare is solved", await one.until("postern.pc.signalingState === 'stable'", 3)
                           and await two.until("postern.pc.signalingState === 'stable'", 3))
            await s.check_page_plays(one, "plays after it")
            for page in (one, two):
                s.check_console(page)
        await self.scenario("two pages and glare", two_pages)
