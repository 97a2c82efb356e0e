"""What a disturbance of a call that stands does to its media."""
import asyncio
import dataclasses
import math

from LabTests.measure import seconds


@dataclasses.dataclass
class Gap:
    """The longest silence of RTP at each end, seconds; infinite where it did not come back."""
    inside: float
    phone: float
    handshakes: int      # DTLS packets at the inside after the disturbance: none where the session was kept

    @property
    def worst(self):
        return max(self.inside, self.phone)

    def __str__(self):
        return f"{seconds(self.inside)} into, {seconds(self.phone)} out"


async def disturbed(bench, action, watched, after=None):
    """Does `action` and watches for `watched` seconds. Gaps are looked for from `after` (a time) on, else from its start."""
    now = asyncio.get_running_loop().time
    start = now()
    await action()
    begin = after() if after else start
    await asyncio.sleep(max(0.1, watched - (now() - start)))
    end = now()
    inside, phone = await bench.inside_capture(), await bench.capture("phone")
    return Gap(inside.silence("in", begin - 0.1, end), phone.silence("in", begin - 0.1, end),
               inside.count("in", "dtls", start + 0.05) + inside.count("out", "dtls", start + 0.05))


def check_gap(context, gap, limit=3.0, what="gap"):
    return context.check(f"{what} <= {limit:g} s both ways", gap.worst <= limit and not math.isnan(gap.worst), gap)


async def check_decoding(context, call, seconds_watched=2.0):
    """Chromium's decoder goes on after the disturbance. A Postern tells by its recording, after the end."""
    if call.phone.name != "chromium":
        return
    before = (await call.phone.stats())["video_in"].get("framesDecoded") or 0
    await asyncio.sleep(seconds_watched)
    after = (await call.phone.stats())["video_in"].get("framesDecoded") or 0
    context.check("phone decodes again", after - before >= 5 * seconds_watched, f"{after - before} frames in {seconds_watched:g} s")
