"""Getting through: S1 to S6, S12, S13, S17."""
import asyncio

from LabTests.measure import seconds
from LabTests.call import Call, Rewriter
from LabTests.runner import Scenario

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


def simple(role, limit=1.0, settings=None, phone_options=None, hold=4.0, arguments=(), **call_options):
    async def body(context):
        async with context.bench(**(settings or {})) as bench:
            options = dict(call_options, inside=context.inside(bench, arguments=arguments))
            if phone_options:
                options["phone"] = await context.phone(bench, **phone_options)
            call = await context.call(bench, role, **options)
            await connects(context, bench, call, limit, hold)
    return body


def unreachable(role, **settings_and_rewrite):
    """What is announced cannot be reached: no call, but a sentence that says why, and the next call stands."""
    rewrite = settings_and_rewrite.pop("rewrite", "front")
    wrong_port = settings_and_rewrite.pop("wrong_port", False)

    async def body(context):
        async with context.bench(**settings_and_rewrite) as bench:
            inside = context.inside(bench, arguments=["--setup-timeout", "20s"])
            call = Call(await context.phone(bench), inside, role, Rewriter(
                bench.settings, bench.inside, rewrite, outside_port=(lambda port: port) if wrong_port else None))
            context.open_calls.append(call)
            await call.start()
            took = await call.connected(18)
            context.check("does not connect", took is None, seconds(took) if took is not None else "never")
            capture = await bench.inside_capture()
            context.note("packets that came in", len([p for p in capture.packets if p[1] == "in"
                                                      and not p[6].startswith("icmp")]))
            try:
                await asyncio.wait_for(inside.process.wait(), 8)
            except asyncio.TimeoutError:
                pass
            await context.hang_up(call)
            context.check("exit", call.exit_code == 20, call.exit_code)
            sentence = (inside.report().get("diagnosis") or {}).get("sentence") or ""
            context.check("says that nothing reached it", "no authenticated" in sentence.lower()
                          or "reach" in sentence.lower() or "nothing" in sentence.lower(), sentence or "nothing")
            if not wrong_port:
                again = await context.call(bench, role, phone=await context.phone(bench, number=2)
                                           if context.options.phone == "postern" else call.phone.browser.page("again"),
                                           inside=context.inside(bench, 2))
                took = await again.connected()
                context.check("the next call stands", took is not None and took < 1, seconds(took) if took else "never")
                await context.hang_up(again)
    return body


def candidates():
    passes = "as S1"
    for role in ROLES:
        yield Scenario(f"S3/mdns/{role}-offers", passes, simple(role, phone_options={"mdns": True}))
        for how, words in (("hide", "no-candidates"), ("back", "phone-as-back")):
            yield Scenario(f"S3/{words}/{role}-offers", passes, simple(role, phone_candidates=how))


def late():
    for role in ROLES:
        yield Scenario(f"S4/answer-after-10-s/{role}-offers", "connects < 1 s after it",
                       simple(role, answer_delay=10))
        yield Scenario(f"S4/answer-after-40-s/{role}-offers", "connects < 1 s after it",
                       simple(role, answer_delay=40), 200)
        yield Scenario(f"S4/candidates-after-5-s/{role}-offers", "connects < 1 s after them",
                       simple(role, limit=6.0, candidate_delay=5))
        yield Scenario(f"S4/answer-after-90-s/{role}-offers", "connects < 1 s after it",
                       simple(role, answer_delay=90, arguments=["--setup-timeout", "120s"]), 240)
        yield Scenario(f"S4/candidates-never-end/{role}-offers", "as S1", simple(role, ends=False))


def egress():
    for policy in ("prohibit", "drop", "noroute"):
        for kind in ("relay", "nft"):
            for role in ROLES:
                yield Scenario(f"S5/{kind}/{policy}/{role}-offers", "as S1 (reject is S1)",
                               simple(role, settings={"kind": kind, "egress": policy}))


def ports():
    for kind in ("relay", "nft"):
        for role in ROLES:
            yield Scenario(f"S12/{kind}/offset/{role}-offers", "as S1, outside 40008 is 30008 inside",
                           simple(role, settings={"kind": kind, "offset": 10000}))
    yield Scenario("S12/relay/wrong-map/phone-offers", "does not connect and says why",
                   unreachable("phone", offset=10000, wrong_port=True))


def ipv6():
    for outside in ("only", "both"):
        for role in ROLES:
            yield Scenario(f"S13/{outside}/{role}-offers", "as S1", simple(role, settings={"ipv6": outside}))


def bad_links():
    async def body(context, role, bottleneck_check, **settings):
        async with context.bench(queue=2.0, **settings) as bench:
            call = await context.call(bench, role)
            took = await call.connected(20)
            if not context.check("connected < 3 s", took is not None and took < 3, seconds(took) if took else "never"):
                return
            await asyncio.sleep(5)
            if bench.relays:
                await bench.relays["front"].ask("measure_anew")
            await asyncio.sleep(8)
            inside, phone = await bench.inside_capture(), await bench.capture("phone")
            end = asyncio.get_running_loop().time()
            rates = inside.rate("in", end - 4, end), phone.rate("in", end - 4, end)
            context.check("media both ways", min(rates) >= 30, f"{rates[0]:.0f} and {rates[1]:.0f} RTP/s")
            if bottleneck_check and bench.relays:
                report = await bench.relay_report("front")
                waits = report["up"]["longestWait"], report["down"]["longestWait"]
                # What Postern sends is its part; the phone's own queue is told, not judged.
                context.check("queue of what the inside sends <= 500 ms", waits[1] <= 0.5, seconds(waits[1]))
                context.note("queue of what the phone sends", seconds(waits[0]))
            await context.hang_up(call)
            audio = call.decoded_by_phone()[1], call.decoded_inside()[1]
            least = 13 * 50 * (1 - settings.get("loss", 0)) * 0.8
            context.check("audio keeps up", min(audio) >= least, f"{audio[0]} out, {audio[1]} in, of 650")

    def row(name, role, bottleneck, **settings):
        return Scenario(f"S16/{name}/{role}-offers", "connected < 3 s, audio keeps up, no queue > 500 ms",
                        lambda context: body(context, role, bottleneck, **settings))
    for role in ROLES:
        yield row("relay/loss-5", role, False, loss=0.05)
        yield row("relay/loss-20-delay-150-jitter-40", role, False, loss=0.20, delay=0.15, jitter=0.04)
        yield row("relay/delay-150-jitter-40", role, False, delay=0.15, jitter=0.04)
        yield row("relay/rate-400", role, True, rate=400_000)
        yield row("relay/rate-150", role, True, rate=150_000)
    yield row("nft/loss-20", "phone", False, kind="nft", loss=0.20)
    yield row("nft/rate-400", "phone", False, kind="nft", rate=400_000)


def nats():
    for kind in ("cone", "fullcone", "symmetric"):
        for pair in ("relay", "nft"):
            for role in ROLES:
                yield Scenario(f"S17/{pair}/{kind}/{role}-offers", "as S1",
                               simple(role, settings={"kind": pair, "phone_nat": kind}))


def all_scenarios():
    passes = "connected < 1 s, media both ways, nothing sent to the phone's own address after selection"
    for kind in ("relay", "nft"):
        for role in ROLES:
            yield Scenario(f"S1/{kind}/{role}-offers", passes, simple(role, settings={"kind": kind}))
    for role in ROLES:
        yield Scenario(f"S1/relay/ice-lite/{role}-offers", passes, simple(role, arguments=["--ice-lite"]))
    for role in ROLES:
        yield Scenario(f"S2/raw-candidates/{role}-offers", "no crash, a sentence that says why, the next call stands",
                       unreachable(role, rewrite="none"))
    yield from candidates()
    yield from late()
    yield from egress()
    yield from ports()
    yield from ipv6()
    yield from bad_links()
    yield from nats()
