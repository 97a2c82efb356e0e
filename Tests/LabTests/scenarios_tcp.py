"""A pair that forwards TCP only: S14, its ICE-TCP half."""
import asyncio

from LabTests.measure import seconds
from LabTests.runner import Scenario
from LabTests.scenarios_setup import ROLES

PASSES = "connected < 2 s by TCP, media both ways"


async def flowing(context, call, span=3.0, what="media both ways"):
    """Media comes out at the phone for so long; what comes inside, the recording tells. The wire shows no frames of a stream."""
    if call.phone.name != "chromium":
        return await asyncio.sleep(span)
    async def packets():
        return ((await call.phone.stats() or {}).get("audio_in") or {}).get("packetsReceived") or 0
    before = await packets()
    await asyncio.sleep(span)
    rate = (await packets() - before) / span
    context.check(what + ", at the phone", rate >= 30, f"{rate:.0f} RTP/s")


def by_tcp(context, call):
    """What the inside says of the pair it used."""
    pair = call.inside.report().get("selectedPair") or {}
    local, remote = pair.get("local") or {}, pair.get("remote") or {}
    context.check("by TCP", local.get("protocol") == "tcp", f"{local.get('tcpType')} to {remote.get('type')} {remote.get('tcpType')}")
    notes = call.inside.report().get("notes") or []
    context.check("says so", any("over TCP" in note for note in notes), " / ".join(notes) or "nothing")


def frames(context, call, video, audio):
    out, into = call.decoded_by_phone(), call.decoded_inside()
    context.check("frames out at the phone", out[0] >= video and out[1] >= audio, f"{out[0]} video {out[1]} audio")
    context.check("frames recorded inside", into[0] >= video and into[1] >= audio, f"{into[0]} video {into[1]} audio")
    context.check("exit", call.exit_code == 0, call.exit_code)


def inside(context, bench, number=0, arguments=()):
    return context.inside(bench, number, ["--tcp-port", "30010", *arguments])


def stands(role, arguments=(), disturb=None, hold=4.0, **settings):
    async def body(context):
        async with context.bench(pool_proto="tcp", **settings) as bench:
            phone = await context.phone(bench, arguments=["--ice-tcp", "active"])
            call = await context.call(bench, role, phone=phone, inside=inside(context, bench, arguments=arguments))
            took = await call.connected(10)
            if not context.check("connected", took is not None and took <= 2, seconds(took) if took is not None else "never"):
                return await context.hang_up(call)
            await flowing(context, call, hold)
            if disturb:
                await disturb(bench)
                await asyncio.sleep(3)
                await flowing(context, call, what="media both ways 3 s after")
            await context.hang_up(call)
            frames(context, call, hold * 9, hold * 30)
            by_tcp(context, call)
    return body


async def cut(bench):
    await bench.relays["back"].ask("cut_streams")


async def forget(bench):
    await bench.flush()


def two_phones():
    async def body(context):
        async with context.bench(pool_proto="tcp") as bench:
            calls = []
            for number, name in enumerate(("phone", "phone2")):
                phone = await context.phone(bench, name, number, arguments=["--ice-tcp", "active"])
                peer = context.inside(bench, number, ["--tcp-port", str(30010 + number)])
                calls.append(await context.call(bench, "phone", phone=phone, inside=peer))
            for number, call in enumerate(calls):
                took = await call.connected(10)
                context.check(f"connected {number + 1}", took is not None and took <= 2, seconds(took) if took else "never")
            await asyncio.sleep(4)
            for call in calls:
                await context.hang_up(call)
                frames(context, call, 36, 120)
    return body


def nobody_comes():
    """The port is not published: a sentence says which."""
    async def body(context):
        async with context.bench(pool_proto="udp") as bench:
            peer = context.inside(bench, 0, ["--ice-transport", "tcp", "--tcp-port", "30010", "--setup-timeout", "12s"])
            call = await context.call(bench, "phone", inside=peer,
                                      phone=await context.phone(bench, arguments=["--ice-tcp", "active"]))
            took = await call.connected(11)
            context.check("does not connect", took is None, seconds(took) if took is not None else "never")
            try:
                await asyncio.wait_for(peer.process.wait(), 8)
            except asyncio.TimeoutError:
                pass
            await context.hang_up(call)
            sentence = (peer.report().get("diagnosis") or {}).get("sentence") or ""
            context.check("says which port", "TCP port" in sentence and "30010" in sentence, sentence or "nothing")
    return body


def all_scenarios():
    for kind in ("relay", "nft"):
        for role in ROLES:
            yield Scenario(f"S14/ice-tcp/{kind}/{role}-offers", PASSES, stands(role, kind=kind))
    for role in ROLES:
        yield Scenario(f"S14/ice-tcp/relay/connections-cut/{role}-offers", PASSES + ", and again 3 s after the pair cut them",
                       stands(role, disturb=cut, kind="relay"))
    yield Scenario("S14/ice-tcp/nft/flush/phone-offers", PASSES + ", and again 3 s after",
                   stands("phone", disturb=forget, kind="nft"))
    yield Scenario("S14/ice-tcp/ice-lite/phone-offers", PASSES, stands("phone", arguments=["--ice-lite"]))
    yield Scenario("S14/ice-tcp/two-phones", "both connected < 2 s, media both ways", two_phones())
    yield Scenario("S14/ice-tcp/not-published/phone-offers", "does not connect and says which port", nobody_comes())
