"""What changes in a call that stands."""
import asyncio

import recording


class Changes:
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


def received_digits(call):
    """The digits in Postern's report."""
    return "".join(key["digit"] or "?" for key in call.report().get("dtmf", []))
