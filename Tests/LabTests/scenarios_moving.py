"""The mapping moves, goes away, comes back: S7 to S9."""
import asyncio
import math

from LabTests.disturbance import check_decoding, check_gap, disturbed
from LabTests.measure import seconds
from LabTests.runner import Scenario, Skip
from LabTests.scenarios_setup import ROLES, frames


async def standing(context, bench, role, settle=3.0, **options):
    """A call that has stood for `settle` seconds."""
    call = await context.call(bench, role, **options)
    took = await call.connected()
    if not context.check("connected", took is not None, seconds(took) if took is not None else "never"):
        raise RuntimeError("the call never stood")
    await asyncio.sleep(settle)
    return call


def moved(kind, role, action, limit=3.0, watched=5.0, times=1, arguments=(), **settings):
    """`action(bench)` disturbs; media has to be there again both ways within `limit` seconds."""
    async def body(context):
        async with context.bench(kind=kind, **settings) as bench:
            call = await standing(context, bench, role, inside=context.inside(bench, arguments=arguments))
            gaps = [await disturbed(bench, lambda: action(bench), watched) for _ in range(times)]
            worst = max(gaps, key=lambda gap: gap.worst)
            check_gap(context, worst, limit, "gap" if times == 1 else f"longest of {times} gaps")
            context.check("DTLS session kept", not any(gap.handshakes for gap in gaps), sum(g.handshakes for g in gaps))
            await check_decoding(context, call)
            await context.hang_up(call)
            frames(context, call, 30, 100)
    return body


def during_dtls(kind, role):
    """The mapping moves with the second DTLS datagram that comes in."""
    async def body(context):
        async with context.bench(kind=kind) as bench:
            if not bench.relays:
                raise Skip("the moment of a DTLS datagram is seen by the relay only")
            await bench.relays["front"].ask("flush_on_dtls", count=1)
            call = await context.call(bench, role)
            took = await call.connected()
            context.check("connected <= 3 s", took is not None and took <= 3, seconds(took) if took is not None else "never")
            report = await bench.relay_report("front")
            context.check("the flush was in the middle of DTLS", any(f["up"].get("dtls") for f in report["closed"]),
                          f"{len(report['closed'])} flows ended")
            await asyncio.sleep(3)
            await context.hang_up(call)
            frames(context, call, 25, 80)
    return body


def without_media(role):
    """A call on which nobody sends has to find the new mapping by its consent checks alone."""
    async def body(context):
        if context.options.phone != "chromium":
            raise Skip("a phone that only listens needs --phone chromium")
        async with context.bench() as bench:
            phone = await context.phone(bench, send=[], receive=["audio"])
            inside = context.inside(bench, sends=False, records=role == "postern")
            call = await standing(context, bench, role, phone=phone, inside=inside)
            await bench.flush()
            start = asyncio.get_running_loop().time()
            await asyncio.sleep(12)
            capture = await bench.inside_capture()
            context.check("no media", capture.count("in", "rtp") == 0, f"{capture.count('in', 'rtp')} RTP packets")
            former = capture.sources(end=start)
            answers = {s: t for s, t in capture.sources(start, kind="stun response").items() if s not in former}
            first = min(answers.values(), default=None)
            context.check("a check is answered through the new mapping <= 6 s", first and first - start <= 6,
                          seconds(first - start) if first else "never")
            await context.hang_up(call)
            # Offering, it asks for media to record, and none comes: 11.
            context.check("exit", call.exit_code == (11 if role == "postern" else 0), call.exit_code)
    return body


def outage(kind, role, length):
    async def body(context):
        async with context.bench(kind=kind) as bench:
            call = await standing(context, bench, role)
            loop = asyncio.get_running_loop()
            gap = await disturbed(bench, lambda: bench.outage(length), length + 6, after=lambda: loop.time())
            check_gap(context, gap, 3.0, "gap after the outage")
            context.check("DTLS session kept", not gap.handshakes, gap.handshakes)
            await check_decoding(context, call)
            await context.hang_up(call)
            frames(context, call, 30, 100)
    return body


def long_outage(kind, role, length=40):
    """The phone has given up (Chromium is mute 16 s into it): somebody has to offer an ICE restart, on the same port."""
    async def body(context):
        async with context.bench(kind=kind) as bench:
            call = await standing(context, bench, role)
            before = (await bench.inside_capture()).own_ports()
            loop = asyncio.get_running_loop()
            gap = await disturbed(bench, lambda: bench.outage(length), length + 12, after=lambda: loop.time())
            restarted = by_restart(call)
            if gap.worst > 10 and not restarted and call.phone.name == "chromium":
                await call.renegotiated_by_phone()
                gap = await disturbed(bench, lambda: asyncio.sleep(3), 8, after=lambda: loop.time())
                context.note("restarted by", "the phone (the inside did not offer)")
            else:
                context.note("restarted by", "the inside" if restarted else "nobody: the call came back by itself")
            context.check("media both ways again", not math.isinf(gap.worst), gap)
            after = (await bench.inside_capture()).own_ports()
            context.check("same port", before == after, f"{before} {after}")
            await context.hang_up(call)
            frames(context, call, 30, 100)
    return body


def by_restart(call):
    """Whether the inside offered anew."""
    offers = call.inside.times(event="localDescription", type="offer")
    return len(offers) > (1 if call.offerer == "postern" else 0)


def asleep(role, length):
    """Only the phone's packets keep the mapping (30 s of it); the phone sleeps."""
    async def body(context):
        async with context.bench(idle=30 if length < 60 else 10, idle_direction="client") as bench:
            # How long a lost call may take to come back is the caller's to say (75 s, where nothing is said).
            patient = ["--setup-timeout", "200s"] if length > 60 else []
            call = await standing(context, bench, role, inside=context.inside(bench, arguments=patient))
            loop = asyncio.get_running_loop()

            async def sleep():
                call.phone.freeze()
                await asyncio.sleep(length)
                call.phone.thaw()
            asleep_at = loop.time()
            gap = await disturbed(bench, sleep, length + 12, after=loop.time)
            restarted = by_restart(call)
            limit = 3.0 if length < 30 else 10.0
            if not check_gap(context, gap, limit, "gap after waking") and restarted:
                context.note("an ICE restart was offered", "by the inside")
            if length > 32:
                capture = await bench.inside_capture()
                late = capture.count("out", "rtp", asleep_at + 31, asleep_at + length)
                context.check("media stops by 30 s", late == 0, f"{late} RTP packets after that")
            ports = (await bench.inside_capture()).own_ports()
            context.check("same port", len(ports) == 1, ports)
            await context.hang_up(call)
            context.check("exit", call.exit_code == 0, call.exit_code)
    return body


def only_listening(role, length=40):
    """The inside sends, the phone has nothing to send: its checks alone keep the mapping."""
    async def body(context):
        if context.options.phone != "chromium":
            raise Skip("a phone that only listens needs --phone chromium")
        async with context.bench(idle=30, idle_direction="client") as bench:
            phone = await context.phone(bench, send=[], receive=["audio", "video"])
            await standing(context, bench, role, phone=phone, inside=context.inside(bench, records=role == "postern"))
            start = asyncio.get_running_loop().time()
            await asyncio.sleep(length)
            end = asyncio.get_running_loop().time()
            gap = (await bench.capture("phone")).silence("in", start, end)
            context.check("media to the phone without a gap of 1 s", gap <= 1, seconds(gap))
            inside = await bench.inside_capture()
            context.check("from one port", len(inside.sources(start)) == 1, len(inside.sources(start)))
    return body


def all_scenarios():
    moves = "media both ways again within 3 s, DTLS session kept"
    for role in ROLES:
        for kind in ("relay", "nft"):
            yield Scenario(f"S7/{kind}/flush/{role}-offers", moves, moved(kind, role, lambda b: b.flush()))
        yield Scenario(f"S7/relay/flush-ice-lite/{role}-offers", moves,
                       moved("relay", role, lambda b: b.flush(), arguments=["--ice-lite"]))
        yield Scenario(f"S7/relay/rebind/{role}-offers", moves, moved("relay", role, lambda b: b.rebind()))
        yield Scenario(f"S7/relay/every-3-s/{role}-offers", moves,
                       moved("relay", role, lambda b: b.flush(), watched=3.0, times=5))
        yield Scenario(f"S7/relay/during-dtls/{role}-offers", "connects within 3 s all the same", during_dtls("relay", role))
        yield Scenario(f"S7/relay/no-media/{role}-offers", "the new mapping is found by consent checks alone, within 6 s",
                       without_media(role))
    back = "media both ways within 3 s of its end, alone, DTLS session kept"
    for role in ROLES:
        for length in (5, 10, 14):
            yield Scenario(f"S8/relay/outage-{length}-s/{role}-offers", back, outage("relay", role, length))
    yield Scenario("S8/nft/outage-10-s/phone-offers", back, outage("nft", "phone", 10))
    for role in ROLES:
        yield Scenario(f"S8/relay/outage-40-s/{role}-offers", "media both ways again after an ICE restart, same port",
                       long_outage("relay", role), 180)
    for role in ROLES:
        for length in (20, 45):
            yield Scenario(f"S9/relay/asleep-{length}-s/{role}-offers",
                           "media stops by 30 s; back <= 3 s after waking (45 s: by an ICE restart), same port",
                           asleep(role, length), 200)
        yield Scenario(f"S9/relay/phone-only-listens/{role}-offers", "the mapping lives", only_listening(role))
    yield Scenario("S9/relay/asleep-120-s/phone-offers",
                   "media stops by 30 s; back after waking by an ICE restart, same port", asleep("phone", 120), 260)
