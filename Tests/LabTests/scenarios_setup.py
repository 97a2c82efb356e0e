"""Getting through: S1 to S6, S12, S13, S17."""
import asyncio

from LabTests.measure import seconds
from LabTests.runner import Scenario, Skip

ROLES = ("phone", "postern")


async def connects(context, bench, call, limit=1.0, hold=4.0, least=0.6, silent_to_phone=True):
    """The call stands within `limit` seconds, media goes both ways for `hold` seconds, nothing is wasted."""
    took = await call.connected(max(15.0, limit + 5))
    if not context.check("connected", took is not None and took <= limit, seconds(took) if took is not None else "never"):
        if took is None:
            await context.hang_up(call)
            return False
    await asyncio.sleep(hold)
    inside, phone = await bench.inside_capture(), await bench.capture("phone")
    end = asyncio.get_running_loop().time()
    rates = inside.rate("in", end - hold + 1, end), phone.rate("in", end - hold + 1, end)
    context.check("media both ways", min(rates) >= 30, f"{rates[0]:.0f} and {rates[1]:.0f} RTP/s")
    if silent_to_phone:
        wasted = inside.sent_to(bench.settings.phone_address("phone"), call.inside.selected_at + 0.05)
        context.check("sent to the phone's own address after selection", not wasted, len(wasted))
    await context.hang_up(call)
    frames(context, call, hold * 15 * least, hold * 50 * least)
    return True


def frames(context, call, video, audio):
    """At least so many frames came out at both ends."""
    out, into = call.decoded_by_phone(), call.decoded_inside()
    context.check("frames out at the phone", out[0] >= video and out[1] >= audio, f"{out[0]} video {out[1]} audio")
    context.check("frames recorded inside", into[0] >= video and into[1] >= audio, f"{into[0]} video {into[1]} audio")
    context.check("exit", call.exit_code == 0, call.exit_code)


def simple(role, limit=1.0, settings=None, phone_options=None, **call_options):
    async def body(context):
        async with context.bench(**(settings or {})) as bench:
            options = dict(call_options)
            if phone_options:
                options["phone"] = await context.phone(bench, **phone_options)
            call = await context.call(bench, role, **options)
            await connects(context, bench, call, limit)
    return body


def s1():
    passes = "connected < 1 s, media both ways, nothing sent to the phone's own address after selection"
    for kind in ("relay", "nft"):
        for role in ROLES:
            yield Scenario(f"S1/{kind}/{role}-offers", passes, simple(role, settings={"kind": kind}))


def all_scenarios():
    yield from s1()
