"""A server, pages and Posterns in one room, and what is looked at."""
import asyncio
import os

import recorded
import recording
from room import RoomCall, Server
from room_page import RoomPage


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
