"""The room: Chromium through the page of `postern serve`, Postern through `postern call ws://…` or as the server itself."""
import asyncio
import os
import time

import recorded
import recording
from chromium_peer import Chromium
from net import has_ipv6, host_ip
from room import RoomCall, Server
from room_page import RoomPage


def missing():
    return None if Chromium.binary() else "no chromium on the PATH; apt-get install chromium"


def version():
    return Chromium.version()


async def run(runner):
    folder = os.path.join(os.path.abspath(runner.options.out), "room")
    os.makedirs(folder + "/shy", exist_ok=True)
    usual, shy = Chromium(folder, flags=["--ignore-certificate-errors"]), Chromium(folder + "/shy", grants_media=False)
    await usual.start()
    await shy.start()
    try:
        room = Room(runner, usual, shy)
        await room.calls()
        await room.changes()
        await room.breaks()
        await room.refusals()
        await room.many()
    finally:
        await usual.stop()
        await shy.stop()


class Checks:
    def __init__(self):
        self.checks = []

    def check(self, what, held, figure=""):
        self.checks.append((what, bool(held), str(figure)))
        return held


class Scene:
    """A server, a page, a Postern: what most scenarios need, torn down however they end."""

    def __init__(self, room, folder, browser=None, host="127.0.0.1", serve=(), token=None):
        self.room, self.folder, self.result = room, folder, Checks()
        self.browser = browser or room.usual
        self.server = Server(room.binary, folder, *serve, host=host, token=token)
        self.pages, self.programs = [], []

    async def __aenter__(self):
        await self.server.start()
        return self

    async def __aexit__(self, *_):
        for index, page in enumerate(self.pages):
            try:
                with open(os.path.join(self.folder, f"page{index}.log"), "w") as file:
                    file.write(await page.log() + "\n\n" + "\n".join(page.console))
                await page.screenshot(os.path.join(self.folder, f"page{index}.png"))
            except Exception:
                pass
            await page.close()
        for program in self.programs:
            await program.stop()
        await self.server.stop()

    # -- who takes part

    async def page(self, browser=None, url=None, **options):
        page = RoomPage(browser or self.browser, url or self.server.url)
        await page.open(**options)
        self.pages.append(page)
        return page

    async def call(self, room, *arguments, **options):
        options.setdefault("seconds", self.room.seconds)
        call = await RoomCall(self.room.binary, self.folder, self.server, room, *arguments, **options).start()
        self.programs.append(call)
        return call

    async def pair(self, first, *arguments, source="both", seconds=None, browser=None, prepare=None, token=None, **options):
        """A page and a Postern in one room; `first` comes first, so the other offers."""
        page = await self.page(browser)
        if prepare:
            await prepare(page)
        rest = {"seconds": seconds or self.room.seconds, **options}
        if first == "postern":
            call = await self.call("r", *arguments, **rest)
            await self.present(1)
            await page.join("r", source, token=token)
        else:
            await page.join("r", source, token=token)
            await page.until("postern.phase === 'waiting'", 10)
            call = await self.call("r", *arguments, **rest)
        self.result.check("connected", await page.connected(20), "" if await page.connected(0) else await page.sentence())
        return page, call

    async def present(self, count):
        """Until so many are in rooms, by the server's own metrics."""
        for _ in range(100):
            for line in self.server.get("/metrics").splitlines():
                if line.startswith("postern_") and "members" in line and float(line.split()[-1]) >= count:
                    return True
            await asyncio.sleep(0.05)
        return False

    # -- what is looked at

    async def growth(self, page, seconds=1.5):
        """Frames decoded and audio energy that came within `seconds`."""
        before = await page.stats()
        await asyncio.sleep(seconds)
        after = await page.stats()

        def grown(kind, field):
            return (after[kind].get(field) or 0) - (before[kind].get(field) or 0)
        return grown("video_in", "framesDecoded"), grown("audio_in", "totalAudioEnergy"), grown("audio_in", "packetsReceived")

    async def check_page_plays(self, page, what="page decodes", rate=15):
        seconds = 2
        frames, energy, packets = await self.growth(page, seconds)
        spread = await page.picture()
        self.result.check(what, frames >= rate * seconds * 0.8 and energy > 0.0001 and spread > 5,
                          f"{frames / seconds:.0f} frames/s, energy +{energy:.3f}, spread {spread:.0f}")

    async def check_end(self, call, code=0):
        """Waits for Postern's own end of the call."""
        end = await call.ended(call.seconds + 30)
        report = call.report()
        self.result.check("exit", end == code, f"exit {end}" + ("" if end == code else ": " + call.said()[-300:]))
        return report

    def check_recording(self, path, seconds, kinds=("audio", "video"), gap=0.5, source="device", tail=2.5):
        check = self.result.check
        try:
            tracks = recording.probe(path)
        except Exception as error:
            return check("recording", False, error)
        for kind in kinds:
            track = tracks.get(kind)
            if not track or not track["packets"]:
                check(f"{kind} recorded", False, "no track")
                continue
            length = track["end"] - track["start"]
            check(f"{kind} recorded", seconds - 1.5 <= length <= seconds + tail and track["gap"] <= gap,
                  f"{track['codec']} {length:.1f} s, step {track['gap'] * 1000:.0f} ms")
        errors = recording.decoding_errors(path)
        check("plays", not errors, errors[:1] or "")
        if source == "device":
            found = recorded.describe(path)
            check("holds the fake device's beeps and wheel", recorded.holds_fake_device(found),
                  f"{found['beeps']:.1f} beeps/s, {found['green']:.0%} green, {found['motion']:.0%} moves")

    def check_console(self, page, but=()):
        bad = [line for line in page.console if not any(part in line for part in but)]
        self.result.check("clean console", not bad, bad[:2] or "")


class Room:
    def __init__(self, runner, usual, shy):
        self.runner, self.usual, self.shy = runner, usual, shy
        self.binary, self.seconds = runner.options.postern, runner.options.seconds

    async def scenario(self, name, body, **scene):
        async def staged(folder):
            async with Scene(self, folder, **scene) as stage:
                await body(stage)
            return stage.result
        await self.runner.scenario(name, staged)

    # -- calls

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

    # -- what changes in a call

    async def changes(self):
        directions = "postern.pc.getTransceivers().map(one => one.receiver.track.kind + ' ' + one.currentDirection).join(', ')"

        async def video(s):
            page, call = await s.pair("postern", seconds=14)
            await s.check_page_plays(page)
            await page.click("video")
            s.result.check("video removed", await page.until(f"postern.pc.signalingState === 'stable' && !({directions}).includes('video')", 5),
                           await page.evaluate(directions))
            frames, energy, _ = await s.growth(page, 2)
            s.result.check("audio goes on without it", frames <= 0 and energy > 0.0001, f"{frames} frames, energy +{energy:.3f}")
            await page.click("video")
            s.result.check("video added", await page.until(f"({directions}).includes('video send')", 5), await page.evaluate(directions))
            await asyncio.sleep(1)
            back = (await page.stats())["video_out"].get("framesEncoded", 0)
            await asyncio.sleep(1)
            now = (await page.stats())["video_out"].get("framesEncoded", 0)
            s.result.check("page sends video again", now > back, f"+{now - back} frames")
            await s.check_page_plays(page, "page decodes again")
            await s.check_end(call)
            s.check_recording(call.record_path, 14, kinds=("audio",), source=None)
            tracks = recording.probe(call.record_path)
            picture = tracks.get("video", {})
            s.result.check("the recording has video before and after", picture.get("packets", 0) > 100 and picture.get("end", 0) > 11,
                           f"{picture.get('packets')} frames to {picture.get('end')} s")
        await self.scenario("video removed and added in the call", video)

        async def added(s):
            page, call = await s.pair("postern", source="audio", seconds=10)
            await asyncio.sleep(2)
            s.result.check("no video of the page's at first", not (await page.stats())["video_out"].get("framesEncoded"))
            await page.click("cam")
            await asyncio.sleep(2)
            sent = (await page.stats())["video_out"].get("framesEncoded", 0)
            s.result.check("camera joins an audio call", sent > 5, f"{sent} frames")
            await s.check_page_plays(page)
            await s.check_end(call)
            s.check_recording(call.record_path, 10, kinds=("audio",), source=None)
        await self.scenario("video added to an audio call", added)

        async def hold(s):
            page, call = await s.pair("postern", seconds=12)
            await asyncio.sleep(2)
            await page.click("hold")
            s.result.check("held", await page.until(f"({directions}) === 'audio inactive, video inactive'", 5), await page.evaluate(directions))
            await asyncio.sleep(0.5)
            frames, _, packets = await s.growth(page, 2)
            s.result.check("nothing comes while held", frames == 0 and packets == 0, f"{frames} frames, {packets} audio packets")
            await page.click("hold")
            s.result.check("resumed", await page.until(f"({directions}) === 'audio sendrecv, video sendrecv'", 5), await page.evaluate(directions))
            await asyncio.sleep(1)
            await s.check_page_plays(page, "page decodes again")
            await s.check_end(call)
            s.check_recording(call.record_path, 12, gap=6)
        await self.scenario("hold and resume", hold)

        async def camera(s):
            page, call = await s.pair("page", seconds=10)
            await asyncio.sleep(1)
            await page.click("mute")
            await page.click("cam")
            await asyncio.sleep(2.5)
            s.result.check("camera off sends nothing", await page.evaluate("postern.call.sender('video').track === null"))
            await s.check_page_plays(page, "page decodes meanwhile")
            await page.click("cam")
            await page.click("mute")
            await asyncio.sleep(1)
            s.result.check("no sentence of trouble", await page.sentence() is None, await page.sentence())
            await s.check_end(call)
            s.check_recording(call.record_path, 10, gap=6, source=None)
        await self.scenario("camera off and mute are gaps", camera)

        async def restart(s, first):
            page, call = await s.pair(first, seconds=10)
            await asyncio.sleep(1)
            name = "postern.pc.localDescription.sdp.match(/ice-ufrag:(\\S+)/)[1] + ' ' + postern.pc.remoteDescription.sdp.match(/ice-ufrag:(\\S+)/)[1]"
            before = await page.evaluate(name)
            await page.click("restart")
            await page.until(f"postern.pc.signalingState === 'stable' && ({name}) !== {before!r}", 5)
            await asyncio.sleep(1)
            after = await page.evaluate(name)
            s.result.check("both names are new", all(a != b for a, b in zip(before.split(), after.split())), f"{before} to {after}")
            s.result.check("ICE stands", await page.until("/^(connected|completed)$/.test(postern.pc.iceConnectionState)", 5))
            await s.check_page_plays(page)
            await s.check_end(call)
            s.check_recording(call.record_path, 10, gap=1.0)
        await self.scenario("ICE restart, chromium had offered", lambda s: restart(s, "postern"))
        await self.scenario("ICE restart, postern had offered", lambda s: restart(s, "page"))

        async def digits(s, first):
            page, call = await s.pair(first, "--send-dtmf", "159#@5s", seconds=14)
            await page.listen_for_digits()
            s.result.check("none heard before", await page.evaluate("heardDigits") == "", await page.evaluate("heardDigits"))
            await asyncio.sleep(1)
            for key in "246*":
                await page.evaluate(f"postern.press('{key}')")
            await page.until("heardDigits.length >= 4", 10)
            heard = await page.evaluate("heardDigits")
            s.result.check("page hears Postern's digits", heard == "159#", heard)
            await s.check_end(call)
            got = received_digits(call)
            s.result.check("Postern receives the page's digits", got == "246*", got)
        await self.scenario("DTMF both ways, chromium offers", lambda s: digits(s, "postern"))
        await self.scenario("DTMF both ways, postern offers", lambda s: digits(s, "page"))

    # -- what breaks

    async def breaks(self):
        async def reload(s, first, times=1):
            page, call = await s.pair(first, seconds=16)
            await s.check_page_plays(page)
            for _ in range(times):
                began = time.monotonic()
                await page.reload()
                s.result.check("connected again by itself", await page.connected(10),
                               f"{time.monotonic() - began:.1f} s" if await page.connected(0) else await page.evaluate("postern.phase"))
                await asyncio.sleep(0.5)
                await s.check_page_plays(page, "page decodes again")
            s.result.check("the same place", "resumed" in await page.evaluate("postern.log.lines.map(line => line.text).join('; ')"))
            await s.check_end(call)
            s.check_recording(call.record_path, 16, gap=5)
        await self.scenario("reload, chromium had offered", lambda s: reload(s, "postern"))
        await self.scenario("reload, postern had offered", lambda s: reload(s, "page"))
        await self.scenario("reload twice", lambda s: reload(s, "postern", times=2))

        async def signaling(s):
            page, call = await s.pair("postern", seconds=12)
            await asyncio.sleep(1)
            await page.evaluate("postern.signaling.socket.close()")
            frames, _, _ = await s.growth(page, 1)
            s.result.check("the call goes on meanwhile", frames > 5, f"+{frames} frames")
            s.result.check("back in the room", await page.until("postern.signaling.isIn", 5))
            await page.click("restart")
            await asyncio.sleep(1.5)
            s.result.check("negotiation works again", await page.until("postern.pc.signalingState === 'stable'", 3))
            await s.check_page_plays(page)
            await s.check_end(call)
            s.check_recording(call.record_path, 12, gap=1.0)
        await self.scenario("signalling breaks, the call goes on", signaling)

        async def served_again(s):
            page, call = await s.pair("postern", seconds=14)
            await asyncio.sleep(1)
            s.server.process.kill()
            await s.server.process.wait()
            await asyncio.sleep(3)
            s.result.check("the page says so", await page.until("document.querySelector('#notices .notice')?.dataset.key === 'signalingLost'", 5), await page.sentence())
            await s.check_page_plays(page, "the call goes on without a server")
            s.server.errors.close()
            await s.server.start()
            s.result.check("in the new server's room", await page.until("postern.signaling.isIn", 10))
            await s.check_end(call)
        await self.scenario("the server is killed and started again", served_again)

        async def hangs_up(s, who):
            page, call = await s.pair("postern", seconds=30 if who == "page" else 5)
            await asyncio.sleep(3)
            if who == "page":
                began = time.monotonic()
                await page.click("hang")
                code = await call.ended(10)
                s.result.check("Postern ends", code == 0 and time.monotonic() - began < 5, f"exit {code}, {time.monotonic() - began:.1f} s")
                s.check_recording(call.record_path, 3.5)
                s.result.check("page is at the start", await page.evaluate("postern.phase") == "idle")
                s.result.check("camera released", await page.evaluate("postern.media.stream === null"))
            else:
                await s.check_end(call)
                s.result.check("page says so", await page.until("postern.state.ended", 3), await page.evaluate("postern.state.ended"))
        await self.scenario("the page hangs up", lambda s: hangs_up(s, "page"))
        await self.scenario("Postern hangs up", lambda s: hangs_up(s, "postern"))

        async def again(s):
            page, call = await s.pair("page", seconds=4)
            await s.check_end(call)
            await page.until("postern.phase !== 'connected'", 5)
            other = await s.call("r", seconds=6, name="second", record="second.webm")
            s.result.check("the next call in the same room", await page.connected(15))
            await s.check_page_plays(page)
            await s.check_end(other)
            s.check_recording(other.record_path, 6)
        await self.scenario("one room, two calls after each other", again)

        async def blocked(s):
            """No candidate of either side gets through: the page must say so in words, Postern with its code."""
            page = await s.page()
            await page.command("Page.addScriptToEvaluateOnNewDocument", {"source": r"""
              const wrong = text => (text || '').replace(/^((?:a=)?candidate:\S+ \d+ \S+ \d+) \S+ \d+ /gm, '$1 192.0.2.77 40009 ');
              const add = RTCPeerConnection.prototype.addIceCandidate, send = WebSocket.prototype.send, set = RTCPeerConnection.prototype.setRemoteDescription;
              RTCPeerConnection.prototype.addIceCandidate = function (one) { return add.call(this, one && {...one, candidate: wrong(one.candidate)}); };
              RTCPeerConnection.prototype.setRemoteDescription = function (one) { return set.call(this, {type: one.type, sdp: wrong(one.sdp)}); };
              WebSocket.prototype.send = function (text) { const m = JSON.parse(text); if (m.candidate) m.candidate = wrong(m.candidate); if (m.sdp) m.sdp = wrong(m.sdp); send.call(this, JSON.stringify(m)); };"""})
            await page.go()
            call = await s.call("r", "--setup-timeout", "25s", seconds=30)
            await s.present(1)
            await page.join("r")
            s.result.check("says it is stuck", await page.until("document.querySelector('#notices .notice')?.dataset.key === 'stuckPairs'", 14), await page.sentence())
            s.result.check("says that it failed", await page.until("document.querySelector('#notices .notice')?.dataset.key === 'iceNone'", 30), await page.sentence())
            code = await call.ended(30)
            s.result.check("Postern says 20", code == 20, f"exit {code}")
        await self.scenario("no address answers", blocked)

    # -- what is refused, in words

    async def refusals(self):
        async def expect(s, page, key, what):
            s.result.check(what, await page.until(f"document.querySelector('main:not([hidden]) .notice')?.dataset.key === '{key}'", 8),
                           await page.evaluate("document.querySelector('main:not([hidden]) .notice p')?.textContent"))

        async def token(s):
            page = await s.page()
            await page.join("r", "test")
            await expect(s, page, "noToken", "a token is wanted")
            await page.join("r", "test", token="wrong")
            await expect(s, page, "wrongToken", "a wrong token is refused")
            await page.join("r", "test", token="a-secret+of/ours")
            s.result.check("the right one is let in", await page.until("postern.phase === 'waiting'", 5), await page.sentence())
            s.result.check("it is not in the address line", "secret" not in await page.evaluate("location.href"))
            linked = await s.page(fragment={"room": "r", "token": "a-secret+of/ours"})
            await linked.choose("test")
            await linked.click("join")
            s.result.check("a link with the token connects", await linked.connected(10) and await page.connected(5))
            s.result.check("its token left the address line", "secret" not in await linked.evaluate("location.href"))
            for one in (page, linked):
                s.result.check("no token in the log", "secret" not in await one.log())
                s.check_console(one, but=["401", "WebSocket connection to"])
        await self.scenario("token", token, token="a-secret+of/ours")

        async def full(s):
            pages = [await s.page() for _ in range(3)]
            for page in pages[:2]:
                await page.join("f", "test")
                await page.until("postern.signaling.isIn", 5)
            await pages[0].connected()
            await pages[2].join("f", "test")
            await expect(s, pages[2], "roomFull", "the third is refused")
            await s.check_page_plays(pages[0], "the two are undisturbed")
            await pages[1].click("hang")
            await asyncio.sleep(0.3)
            await pages[2].click("join")
            s.result.check("and let in when one has left", await pages[2].connected(10))
        await self.scenario("room full", full)

        async def unreachable(s):
            page = await s.page()
            await s.server.stop()
            await page.join("r", "test")
            await expect(s, page, "unreachable", "a server that is gone")
        await self.scenario("server unreachable", unreachable)

        async def names(s):
            page = await s.page()
            await page.join("not a name", "test")
            s.result.check("a bad name is said beside the field", await page.evaluate(
                "!document.getElementById('room-wrong').hidden && document.activeElement.id === 'room'"),
                await page.evaluate("document.getElementById('room-wrong').textContent"))
            await page.join("good", "test")
            s.result.check("a good one is not", await page.until("postern.phase === 'waiting'", 5))
            s.result.check("nobody there is said", "good" in (await page.evaluate("document.getElementById('headline').textContent")),
                           await page.evaluate("document.getElementById('headline').textContent"))
        await self.scenario("room names", names)

        async def denied(s):
            page, call = await s.pair("postern", seconds=6, browser=self.shy)
            await expect(s, page, "denied", "a refused camera")
            await s.check_page_plays(page, "the call goes on with a test picture")
            await s.check_end(call)
            s.check_recording(call.record_path, 6, source="test")
        await self.scenario("camera refused", denied)

        async def insecure(s):
            page = await s.page()
            await expect(s, page, "insecure", "no camera without HTTPS")
            call = await s.call("r", seconds=6)
            await s.present(1)
            await page.join("r", "test")
            s.result.check("connected", await page.connected())
            await s.check_page_plays(page)
            await s.check_end(call)
        if host_ip() != "127.0.0.1":
            await self.scenario("page is not secure", insecure, host=host_ip(), serve=("--open",))
        else:
            print("!!! room: no address but loopback here: the scenario of the insecure page was NOT run")

        async def secure(s):
            page = await s.page()
            s.result.check("a secure context", await page.evaluate("isSecureContext"))
            call = await s.call("r", "--insecure", seconds=6)
            await s.present(1)
            await page.join("r")
            s.result.check("connected with the camera", await page.connected() and await page.sentence() is None, await page.sentence())
            await s.check_page_plays(page)
            await s.check_end(call)
            s.check_recording(call.record_path, 6)
        if host_ip() != "127.0.0.1":
            await self.scenario("HTTPS with the server's own certificate", secure, host=host_ip(), serve=("--open", "--tls-self-signed"))

        async def chinese(s):
            page = await s.page(language="zh-CN")
            await page.join("r", "test")
            await page.until("postern.phase === 'waiting'", 5)
            text = await page.evaluate("document.body.innerText")
            s.result.check("Chinese by the browser's language", "挂断" in text and "还没有其他人" in text and "Hang up" not in text)
            await page.click("language")
            text = await page.evaluate("document.body.innerText")
            s.result.check("and English by a button", "Hang up" in text and "挂断" not in text)
        await self.scenario("languages", chinese)

        async def twins(s):
            """The judge of recordings must be able to say no: a still picture, silence, Postern's own pattern."""
            still, own = os.path.join(s.folder, "still.webm"), os.path.join(s.folder, "own.webm")
            for path, picture, sound in ((still, "color=green:s=320x240:r=10", "anullsrc=r=48000"), (own, "testsrc=s=320x240:r=10", "sine=f=440:r=48000")):
                process = await asyncio.create_subprocess_exec(
                    "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", "4", "-c:v", "libvpx", "-c:a", "libopus", path)
                await process.wait()
                found = recorded.describe(path)
                s.result.check(os.path.basename(path) + " is not the fake device", not recorded.holds_fake_device(found),
                               f"{found['beeps']:.1f} beeps/s, {found['green']:.0%} green, {found['motion']:.0%} moves")
            page = await s.page()
            await page.join("r", "test")
            await page.until("postern.phase === 'waiting'", 5)
            frames, energy, packets = await s.growth(page, 1)
            s.result.check("a page that waits decodes nothing", frames == 0 and energy == 0 and packets == 0 and await page.picture() == 0)
            s.result.check("and is not connected", not await page.connected(0.2))
        await self.scenario("the checks can fail", twins)

    # -- several at once

    async def many(self):
        count, seconds = 8, max(8, self.seconds // 2)

        async def eight(s):
            pages = []
            for index in range(count):
                page = await s.page(query="?size=320x240")
                await page.join(f"m{index}", "both" if index == 0 else "test")
                pages.append(page)
            for index, page in enumerate(pages):
                if not await page.connected(20):
                    s.result.check(f"page {index} connected", False, f"{await page.evaluate('postern.phase')} {await page.sentence()}")
            before = [await page.stats() for page in pages]
            await asyncio.sleep(seconds)
            after = [await page.stats() for page in pages]
            frames = [(b["video_in"].get("framesDecoded") or 0) - (a["video_in"].get("framesDecoded") or 0) for a, b in zip(before, after)]
            energy = [(b["audio_in"].get("totalAudioEnergy") or 0) - (a["audio_in"].get("totalAudioEnergy") or 0) for a, b in zip(before, after)]
            s.result.check(f"{count} pages decode at once", min(frames) > 2 * seconds and min(energy) > 0.0001,
                           f"{min(frames) / seconds:.0f} to {max(frames) / seconds:.0f} frames/s")
            for page in pages:
                await page.click("hang")
            await asyncio.sleep(2)
            files = sorted(name for name in os.listdir(os.path.join(s.folder, "recordings")) if name.endswith(".webm"))
            s.result.check("one recording a call", len(files) == count, len(files))
            lengths = []
            for name in files:
                path = os.path.join(s.folder, "recordings", name)
                try:
                    tracks = recording.probe(path)
                    errors = recording.decoding_errors(path)
                    lengths.append(0 if errors else min(tracks[kind]["end"] - tracks[kind]["start"] for kind in ("audio", "video")))
                except Exception:
                    lengths.append(0)
            s.result.check("each whole", lengths and min(lengths) >= seconds, f"{min(lengths, default=0):.1f} to {max(lengths, default=0):.1f} s")
            s.result.check("the server stops politely", await s.server.stop() == 0)

        async def answered(folder):
            os.makedirs(os.path.join(folder, "recordings"))
            async with Scene(self, folder, serve=("--answer", "test", "--record", os.path.join(folder, "recordings"))) as stage:
                await eight(stage)
            return stage.result
        await self.runner.scenario(f"serve --answer holds {count} calls of one chromium", answered)


def received_digits(call):
    """The digits in Postern's report."""
    return "".join(key["digit"] or "?" for key in call.report().get("dtmf", []))
