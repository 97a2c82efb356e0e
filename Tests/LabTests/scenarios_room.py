"""By configuration alone: one --map rule, signalling through the proxied 8099, one port or a pool; and S20."""
import asyncio
import os

from LabTests.agent import Agent
from LabTests.call import Call, RoomCall
from LabTests.disturbance import check_decoding, check_gap, disturbed
from LabTests.measure import seconds
from LabTests.peers import Server
from LabTests.runner import Scenario, Skip
from LabTests.scenarios_hostile import credentials, description, scripted
from LabTests.scenarios_setup import ROLES, connects, frames
from LabTests.topology import FRONT, FRONT6, INSIDE, PHONES


def rule(bench):
    """The one rule a customer writes."""
    first, last = bench.settings.pool
    moved = f":{first + bench.settings.offset}-{last + bench.settings.offset}"
    front = f"[{FRONT6}]" if bench.settings.ipv6 == "only" else FRONT
    ports = f":{first}-{last}"
    return ["--map", f"local {bench.inside}{ports} = {front}{moved}"]


def needs(context, verb, flag):
    if not context.options.has(verb, flag):
        raise Skip(f"this postern has no `{verb} {flag}`")


async def server(context, bench, arguments=(), answers=False):
    needs(context, "serve", "--listen")
    one = await Server(context.options.postern, bench.spaces["server"], os.path.join(context.folder, "server"), arguments,
                       answers).start()
    bench.closing.append(one.stop)
    return one


def url(name, inside=False):
    return f"ws://{INSIDE['server'] if inside else FRONT}:8099/room/{name}"


async def room_call(context, bench, role, name="call", phone=None, inside=None):
    call = RoomCall(phone or await context.phone(bench), inside or context.inside(bench, arguments=rule(bench)), role,
                    url(name), url(name, inside=True))
    context.open_calls.append(call)
    await call.start()
    return call


def by_rule(role, phone_candidates="none", **settings):
    """No rewriting by anybody: Postern's own --map. Signalling by the lab, so that it can hide the phone's candidates."""
    async def body(context):
        needs(context, "call", "--map")
        async with context.bench(**settings) as bench:
            call = await context.call(bench, role, rewrite="none", phone_candidates=phone_candidates,
                                      inside=context.inside(bench, arguments=rule(bench)))
            if await connects(context, bench, call):
                capture, (first, last) = await bench.inside_capture(), bench.settings.pool
                ports = capture.own_ports()
                context.check("ports of the pool", ports and all(first <= port <= last for port in ports), ports)
    return body


def in_a_room(role, mdns=False, **settings):
    async def body(context):
        needs(context, "call", "--map")
        async with context.bench(**settings) as bench:
            await server(context, bench)
            call = await room_call(context, bench, role, phone=await context.phone(bench, mdns=mdns))
            await connects(context, bench, call)
    return body


def five_calls(kind, count=5):
    """One process, one UDP port, five calls at once: the server answers five rooms."""
    async def body(context):
        needs(context, "serve", "--udp-port")
        async with context.bench(kind=kind, inside="server", pool=(30008, 30008)) as bench:
            one = await server(context, bench, ["--udp-port", "30008", *rule(bench)], answers=True)
            browser = await context.browser(bench) if context.options.phone == "chromium" else None
            phones = [await context.phone(bench, number=n, browser=browser, **({"send": ["audio", "video"]} if browser else {}))
                      for n in range(1, count + 1)]
            await asyncio.gather(*(phone.enter(url(f"call{n}")) for n, phone in enumerate(phones)))
            await all_stand(context, phones, 20)
            await asyncio.sleep(5)
            await flushed(context, bench, phones)
            ports = (await bench.inside_capture()).own_ports()
            context.check("one port", [p for p in ports if p >= 30008 and p < 40000] == [30008], ports)
            await leave(context, phones)
            await one.stop()
            check_reports(context, one, count)
    return body


async def all_stand(context, phones, limit):
    end = asyncio.get_running_loop().time() + limit
    while asyncio.get_running_loop().time() < end and not all(phone.connected_at for phone in phones):
        await asyncio.sleep(0.05)
    standing = len([phone for phone in phones if phone.connected_at])
    context.check("calls connected", standing == len(phones), f"{standing} of {len(phones)}")


async def flushed(context, bench, phones):
    """A flush that hits all of them. Each flow's media comes back (to one socket inside, from as many new ports)."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await bench.flush()
    await asyncio.sleep(5)
    capture = await bench.inside_capture()
    former = capture.sources(start - 2, start, "rtp")
    later = {s: t for s, t in capture.sources(start + 0.05, kind="rtp").items() if s not in former}
    back = [min((p[0] for p in capture.packets if p[1] == "out" and p[6] == "rtp" and (p[4], p[5]) == s), default=None)
            for s in later]
    gaps = [t - start for t in back if t is not None]
    context.check("after a flush all of them recover <= 3 s", len(gaps) >= len(phones) and max(gaps) <= 3,
                  f"{len(gaps)} of {len(phones)}" + (f", slowest {seconds(max(gaps))}" if gaps else ""))


async def ports_crossed(context, bench):
    """Each phone's media goes on, both ways, though it comes from the other's port."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await bench.relays["back"].ask("cross")
    await asyncio.sleep(8)
    end = loop.time()
    sources = sorted((await bench.inside_capture()).sources(start + 0.2, kind="rtp"))
    context.check("from the same two ports", len(sources) == 2, len(sources))
    for name in ("phone", "phone2"):
        capture = await bench.capture(name)
        # What is sent to the wrong phone is counted there too: so the decoder is asked as well, below.
        context.check(f"RTP at {name} goes on", capture.silence("in", start, end) <= 3, seconds(capture.silence("in", start, end)))


async def leave(context, phones):
    for phone in phones:
        if phone.name == "chromium":
            stats = await phone.stats()
            video, audio = stats["video_in"].get("framesDecoded") or 0, stats["audio_in"].get("packetsReceived") or 0
            context.check(f"{phone.page} saw and heard", video > 30 and audio > 150, f"{video} video {audio} audio")
    await asyncio.gather(*(phone.close() for phone in phones))
    for phone in phones:
        if phone.name == "postern":
            video, audio = phone.received("video"), phone.received("audio")
            context.check("a phone saw and heard", video > 30 and audio > 150, f"{video} video {audio} audio")


def check_reports(context, one, count):
    reports = one.reports()
    good = [r for r in reports if ((r.get("video") or {}).get("framesReceived") or 0) > 30
            and ((r.get("audio") or {}).get("framesReceived") or 0) > 100]
    context.check("calls recorded inside", len(good) == count, f"{len(good)} of {count} ({len(reports)} reports)")


def two_phones(kind, crossed=False, **settings):
    """`crossed`: the phones' flows go on from each other's port."""
    async def body(context):
        needs(context, "serve", "--udp-port")
        async with context.bench(kind=kind, inside="server", pool=(30008, 30008), **settings) as bench:
            one = await server(context, bench, ["--udp-port", "30008", *rule(bench)], answers=True)
            phones = [await context.phone(bench, name) for name in ("phone", "phone2")]
            await asyncio.gather(*(phone.enter(url(f"call{n}")) for n, phone in enumerate(phones)))
            await all_stand(context, phones, 15)
            await asyncio.sleep(4)
            if crossed:
                await ports_crossed(context, bench)
            else:
                await flushed(context, bench, phones)
            for phone in phones:
                await check_decoding(context, Call(phone, None, "phone", None))
            # One leaves, the other goes on.
            await leave(context, phones[:1])
            loop = asyncio.get_running_loop()
            start = loop.time()
            await asyncio.sleep(4)
            gap = (await bench.capture("phone2")).silence("in", start, loop.time())
            context.check("the other goes on", gap < 1, seconds(gap))
            await leave(context, phones[1:])
            await one.stop()
            check_reports(context, one, 2)
    return body


def twenty_phones(count=20):
    """Scripted phones, all from one address, on one port: each gets its own call's checks and ClientHello."""
    async def body(context):
        needs(context, "serve", "--udp-port")
        async with context.bench(inside="server", pool=(30008, 30008)) as bench:
            await server(context, bench, ["--udp-port", "30008", *rule(bench), "--answer", "none"])
            rooms = await Agent.start(bench.spaces["phone"], "room_agent", {}, os.path.join(context.folder, "rooms.log"))
            bench.closing.append(rooms.stop)
            agents = [await scripted(context, bench, "phone", "regular", f"ufrag{n:03}", number=n) for n in range(count)]
            offers = [description(False, "actpass", PHONES["phone"], await agent.ask("port"), f"ufrag{n:03}")
                      for n, agent in enumerate(agents)]
            answers = await rooms.ask("calls", url=f"ws://{FRONT}:8099", offers=offers)
            context.check("answers", None not in answers, f"{count - answers.count(None)} of {count}")
            begun = asyncio.get_running_loop().time()
            for agent, answer in zip(agents, answers):
                ufrag, password = credentials(answer)
                await agent.ask("begin", remote=[FRONT, 30008], ufrag=ufrag, password=password, controlling=True)
            await asyncio.sleep(4)
            facts = [await agent.ask("facts") for agent in agents]
            context.check("each is answered and checked", all(f["answered"] and f["requests"] for f in facts),
                          f"{len([f for f in facts if f['answered'] and f['requests']])} of {count}")
            dtls = [f["firstDTLS"] - begun for f in facts if f["firstDTLS"]]
            context.check("ClientHello at each", len(dtls) == count, f"{len(dtls)} of {count}, last after {seconds(max(dtls, default=0))}")
            sources = (await bench.inside_capture()).sources(kind="stun request")
            context.check("from one address and as many ports", len(sources) == count and len({a for a, _ in sources}) == 1,
                          len(sources))
            await bench.flush()
            start = asyncio.get_running_loop().time()
            await asyncio.sleep(4)
            capture = await bench.inside_capture()
            later = capture.sources(start, kind="stun request")
            checked = {(p[4], p[5]) for p in capture.packets if p[1] == "out" and p[6] == "stun request" and p[0] > start}
            context.check("after a flush each is checked where it is now", len(set(later) & checked) == count,
                          f"{len(set(later) & checked)} of {count}")
    return body


def crowd(context_count=20):
    async def body(context):
        async with context.bench() as bench:
            await server(context, bench, ["--rooms", "100"])
            agent = await Agent.start(bench.spaces["phone"], "room_agent", {}, os.path.join(context.folder, "crowd.log"))
            bench.closing.append(agent.stop)
            entered = await agent.ask("enter", url=f"ws://{FRONT}:8099", count=context_count)
            context.check("all from one address are let in", entered["in"] == context_count,
                          f"{entered['in']} of {context_count} {entered['refused']}")
            heard = await agent.ask("talk")
            context.check("each hears its other", heard["heard"] == context_count, heard)
            await bench.relays["front"].ask("cut_streams")
            await asyncio.sleep(4)
            heard = await agent.ask("talk")
            context.check("and again after all connections were cut", heard["heard"] == context_count
                          and heard["resumed"] >= context_count, heard)
    return body


def idle_cut(seconds_idle):
    async def body(context):
        async with context.bench(tcp_idle=seconds_idle) as bench:
            await server(context, bench)
            agent = await Agent.start(bench.spaces["phone"], "room_agent", {}, os.path.join(context.folder, "crowd.log"))
            bench.closing.append(agent.stop)
            await agent.ask("enter", url=f"ws://{FRONT}:8099", count=2)
            await asyncio.sleep(seconds_idle * 2 + 5)
            report = (await bench.relay_report("front"))["streams"]
            heard = await agent.ask("talk")
            context.check("sessions alive", heard["heard"] == 2, heard)
            context.check("kept by pings, not cut", report["cutForIdling"] == 0, report)
    return body


def signalling_lost(how):
    """The call stands on its own: nothing happens to it while its signalling is cut, or hangs half-open."""
    async def body(context):
        needs(context, "call", "--map")
        async with context.bench() as bench:
            await server(context, bench)
            call = await room_call(context, bench, "phone")
            took = await call.connected()
            context.check("connected", took is not None, seconds(took) if took is not None else "never")
            await asyncio.sleep(2)
            gap = await disturbed(bench, lambda: bench.relays["front"].ask(how), 40 if how == "freeze_streams" else 15)
            check_gap(context, gap, 0.5)
            await check_decoding(context, call)
            await context.hang_up(call)
            frames(context, call, 100, 500)
    return body


def all_scenarios():
    passes = "as S1, by one --map rule"
    for kind in ("relay", "nft"):
        for role in ROLES:
            yield Scenario(f"map/{kind}/room/{role}-offers", passes + ", signalling through the proxied 8099",
                           in_a_room(role, kind=kind))
    for role in ROLES:
        yield Scenario(f"map/relay/room-mdns/{role}-offers", passes, in_a_room(role, mdns=True))
        yield Scenario(f"map/relay/no-candidates/{role}-offers", passes, by_rule(role, "hide"))
        yield Scenario(f"map/relay/offset/{role}-offers", passes, by_rule(role, offset=10000))
        yield Scenario(f"map/relay/ipv6-only-outside/{role}-offers", passes, by_rule(role, ipv6="only"))
        for nat in ("cone", "symmetric"):
            yield Scenario(f"map/relay/room-{nat}-nat/{role}-offers", passes, in_a_room(role, phone_nat=nat))
    for kind in ("relay", "nft"):
        yield Scenario(f"map/{kind}/five-calls-one-port", "five calls through one UDP port, all recover from a flush",
                       five_calls(kind))
        yield Scenario(f"S10/{kind}/two-phones-one-port", "isolated calls; a flush hits both, both recover", two_phones(kind))
        yield Scenario(f"S17/{kind}/both-phones-behind-one-symmetric-nat", "isolated calls; a flush hits both, both recover",
                       two_phones(kind, phone_nat="symmetric"))
    yield Scenario("S10/relay/twenty-scripted-phones-one-port", "each has its own call; all are found after a flush", twenty_phones())
    yield Scenario("S19/relay/crossed-ports", "calls that come from each other's ports go on, none gets the other's media",
                   two_phones("relay", crossed=True))
    yield Scenario("S20/relay/crowd", "20 members from one address; all take their places up again", crowd())
    yield Scenario("S20/relay/idle-cut-30-s", "sessions survive a proxy that cuts idle TCP", idle_cut(30))
    yield Scenario("S20/relay/cut", "the call is unaffected", signalling_lost("cut_streams"))
    yield Scenario("S20/relay/half-open", "the call is unaffected", signalling_lost("freeze_streams"))
