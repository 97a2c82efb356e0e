"""What breaks in a call, and what is made of it."""
import asyncio
import time


class Breaks:
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
