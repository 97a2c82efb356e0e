"""Several calls at once."""
import asyncio
import os

import recorded
import recording
from room_scene import Scene


class Many:
    async def many(self):
        count, seconds = 8, max(8, self.seconds // 2)

        async def eight(s):
            """320x240 with 15 frames a second from the server, so that two cores can encode, decode and show all of it."""
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
            s.result.check(f"{count} pages decode at once", min(frames) >= 7.5 * seconds and min(energy) > 0.0001,
                           f"{min(frames) / seconds:.0f} to {max(frames) / seconds:.0f} frames/s for {seconds} s")
            # How long each call stood, by its page; what it sent until then is to be in the recording.
            stood = []
            for page in pages:
                stood.append(await page.evaluate("(performance.now() - postern.call.connectedAt) / 1000") or 0)
                await page.click("hang")
            await asyncio.sleep(2)
            folder = os.path.join(s.folder, "recordings")
            files = [name for name in os.listdir(folder) if name.endswith(".webm")]
            s.result.check("one recording a call", len(files) == count, len(files))
            missing, lengths, problems = [], [], []
            for index in range(count):
                for name in (name for name in files if name.startswith(f"m{index}-")):
                    path = os.path.join(folder, name)
                    try:
                        tracks = recording.probe(path)
                        problems += recording.decoding_errors(path)[:1]
                        for kind in ("audio", "video"):
                            lengths.append(tracks[kind]["end"] - tracks[kind]["start"])
                            missing.append(stood[index] - lengths[-1])
                    except Exception as error:
                        problems.append(f"{name}: {error}")
            s.result.check("each whole", not problems and len(lengths) == 2 * count and max(missing) < 1.5, problems[:2] or
                           f"{min(lengths, default=0):.1f} to {max(lengths, default=0):.1f} s; at most {max(missing, default=0):.1f} s less than the call stood")
            for name in (name for name in files if name.startswith("m0-")):
                found = recorded.describe(os.path.join(folder, name))
                s.result.check("holds the fake device's beeps and wheel", recorded.holds_fake_device(found),
                               f"{found['beeps']:.1f} beeps/s, {found['green']:.0%} green, {found['motion']:.0%} moves")
            s.result.check("the server stops politely", await s.server.stop() == 0)

        async def answered(folder):
            os.makedirs(os.path.join(folder, "recordings"))
            async with Scene(self, folder, serve=(
                "--answer", "test", "--video-size", "320x240", "--fps", "15", "--record", os.path.join(folder, "recordings"))) as stage:
                await eight(stage)
            return stage.result
        await self.runner.scenario(f"serve --answer holds {count} calls of one chromium", answered)
