"""A TURN server inside: S15, and S14's half that is TURN over TCP. The long ones are `Scripts/lab turn`."""
import asyncio
import json
import os
import signal

from LabTests.coturn import PASSWORD, USER, browser_configuration, client, coturn
from LabTests.disturbance import check_decoding
from LabTests.measure import seconds
from LabTests.runner import Scenario
from LabTests.scenarios_moving import by_restart
from LabTests.scenarios_room import needs, rule
from LabTests.scenarios_setup import ROLES, frames
from LabTests.topology import BACK, FRONT, FRONT6, INSIDE


def outside_url(bench, transport="udp"):
    """The server as phones have it configured: by the front's address."""
    front = f"[{FRONT6}]" if bench.settings.ipv6 == "only" else FRONT
    return f"turn:{front}:3478?transport={transport}"


async def relayed_phone(context, bench, server, transport="udp", policy="relay", mdns=False):
    if transport != "udp" and context.options.phone == "postern":
        needs(context, "call", "--turn-ca")   # knows TURN over TCP
    url = outside_url(bench, transport)
    return await context.phone(bench, mdns=mdns, arguments=client(server, url, policy),
                               **({"configuration": browser_configuration(url, policy)}
                                  if context.options.phone == "chromium" else {}))


async def stands(context, call, limit):
    took = await call.connected(max(15.0, limit + 5))
    return context.check("connected", took is not None and took <= limit, seconds(took) if took is not None else "never")


async def media(context, capture, now):
    """RTP both ways on a wire, in the last three seconds."""
    rates = capture.rate("in", now - 3, now), capture.rate("out", now - 3, now)
    context.check("media both ways", min(rates) >= 30, f"{rates[0]:.0f} and {rates[1]:.0f} RTP/s")


def pair(call):
    """The types of the pair in use, as the inside reports them."""
    selected = call.inside.report().get("selectedPair") or {}
    return tuple((selected.get(side) or {}).get("type") for side in ("local", "remote"))


def phone_through_turn(role, transport="udp", limit=1.0, arguments=None, external=False, policy="relay", remote=("relayed",),
                       mdns=False, hold=4.0, **settings):
    """The phone reaches the server at the front's 3478. `arguments(bench)` are the inside's; without, it announces its own
    address."""
    async def body(context):
        async with context.bench(**settings) as bench:
            server = await coturn(context, bench, arguments=[f"--external-ip={FRONT}"] if external else [])
            phone = await relayed_phone(context, bench, server, transport, policy, mdns)
            call = await context.call(bench, role, rewrite="none", phone=phone,
                                      inside=context.inside(bench, arguments=arguments(bench) if arguments else ()))
            if not await stands(context, call, limit):
                return
            await asyncio.sleep(hold)
            await media(context, await bench.inside_capture(), asyncio.get_running_loop().time())
            await context.hang_up(call)
            frames(context, call, hold * 9, hold * 30)
            context.check("the phone comes from", pair(call)[1] in remote, " ".join(filter(None, pair(call))))
            context.note("allocations", server.allocations)
    return body


def raw_and_mapped(bench):
    return ["--map", rule(bench)[1] + " (add-raw)"]


def mapped_only(role):
    """The negative twin: the relay is inside and cannot reach the front."""
    async def body(context):
        async with context.bench() as bench:
            server = await coturn(context, bench)
            call = await context.call(bench, role, rewrite="none", phone=await relayed_phone(context, bench, server),
                                      inside=context.inside(bench, arguments=rule(bench) + ["--setup-timeout", "20s"]))
            took = await call.connected(18)
            context.check("does not connect", took is None, seconds(took) if took is not None else "never")
            context.check("the allocation was had", server.allocations > 0, server.allocations)
            try:
                await asyncio.wait_for(call.inside.process.wait(), 8)
            except asyncio.TimeoutError:
                pass
            await context.hang_up(call)
            context.check("exit", call.exit_code == 20, call.exit_code)
            context.note("says", (call.inside.report().get("diagnosis") or {}).get("sentence") or "nothing")
    return body


def flushed(kind, role):
    """The pair forgets its mappings: the allocation belongs to an address that is no more. A browser notices nothing until
    the inside, which hears nothing, offers an ICE restart; a Postern asks the server by itself."""
    async def body(context):
        async with context.bench(kind=kind) as bench:
            server = await coturn(context, bench)
            call = await context.call(bench, role, rewrite="none", phone=await relayed_phone(context, bench, server),
                                      inside=context.inside(bench))
            if not await stands(context, call, 1.0):
                return
            await asyncio.sleep(3)
            loop = asyncio.get_running_loop()
            start = loop.time()
            await bench.flush()
            await asyncio.sleep(40)
            end = loop.time()
            # What comes to the phone is in ChannelData, which is none of the kinds that are told apart.
            gaps = [(await bench.inside_capture()).silence("in", start, end),
                    (await bench.capture("phone")).silence("in", start, end, "other")]
            limit = 30 if context.options.phone == "chromium" else 12
            context.check(f"gap <= {limit} s both ways", max(gaps) <= limit, f"{seconds(gaps[0])} into, {seconds(gaps[1])} out")
            context.note("brought back by", "an ICE restart of the inside" if by_restart(call) else "the phone itself")
            await check_decoding(context, call)
            await context.hang_up(call)
            frames(context, call, 30, 100)
    return body


def inside_as_client(role, told=True, mapped=False):
    """The inside's own relayed address, announced as one of the front's pool. What comes for it comes from the back."""
    async def body(context):
        needs(context, "call", "--peer-seen-as")
        async with context.bench(inside="server") as bench:
            first, last = bench.settings.pool
            server = await coturn(context, bench, relay_ports=(first, last),
                                  arguments=[] if mapped else [f"--external-ip={FRONT}"])
            arguments = client(server, f"turn:{INSIDE['server']}:3478") + ["--setup-timeout", "20s"]
            if told:
                arguments += ["--peer-seen-as", BACK]
            if mapped:
                arguments += rule(bench)
            inside = context.postern(bench, "pc", arguments)
            call = await context.call(bench, role, rewrite="none", inside=inside)
            if not told:
                took = await call.connected(15)
                context.check("does not connect", took is None, seconds(took) if took is not None else "never")
                await context.hang_up(call)
                return
            if not await stands(context, call, 1.0):
                return
            await asyncio.sleep(4)
            await media(context, await bench.capture("phone"), asyncio.get_running_loop().time())
            await context.hang_up(call)
            frames(context, call, 36, 120)
            context.check("the inside is at", pair(call)[0] == "relayed", " ".join(filter(None, pair(call))))
            context.check("freed", await server.wait_freed(server_count(server)), f"{server.freed} of {server_count(server)}")
    return body


def server_count(server):
    """Allocations there were: the first success of each (a repeated request is answered again)."""
    return server.count("new, realm=<example.org>") or server.allocations


def all_scenarios():
    passes = "connected < 1 s, media both ways"
    for role in ROLES:
        for kind in ("relay", "nft"):
            yield Scenario(f"S15/{kind}/phone-udp/raw/{role}-offers", passes, phone_through_turn(role, kind=kind))
        yield Scenario(f"S15/relay/phone-udp/external-ip/{role}-offers", passes,
                       phone_through_turn(role, external=True, remote=("relayed", "peerReflexive")))
        yield Scenario(f"S15/relay/phone-udp/add-raw/{role}-offers", passes,
                       phone_through_turn(role, arguments=raw_and_mapped))
        yield Scenario(f"S15/relay/phone-udp/policy-all/{role}-offers", passes + ", on the direct path",
                       phone_through_turn(role, arguments=raw_and_mapped, policy="all", remote=("peerReflexive", "host", "serverReflexive")))
        yield Scenario(f"S15/relay/phone-udp/mapped-only/{role}-offers", "does not connect, and says so", mapped_only(role))
        yield Scenario(f"S15/relay/phone-udp/ipv6-only-outside/{role}-offers", passes,
                       phone_through_turn(role, ipv6="only"))
        yield Scenario(f"S15/relay/phone-tcp/raw/{role}-offers", passes, phone_through_turn(role, "tcp"))
        yield Scenario(f"S14/relay/tcp-only/phone-turn-tcp/{role}-offers", "connected < 2 s, media both ways, no UDP passes",
                       phone_through_turn(role, "tcp", 2.0, tcp_only=True))
    yield Scenario("S15/relay/phone-udp/mdns/phone-offers", passes,
                   phone_through_turn("phone", mdns=True, policy="all", arguments=raw_and_mapped,
                                      remote=("peerReflexive", "host", "serverReflexive", "relayed")))
    back = "media both ways again, by an ICE restart at the latest"
    for kind in ("relay", "nft"):
        for role in ROLES:
            yield Scenario(f"S15/{kind}/phone-udp/flush/{role}-offers", back, flushed(kind, role))
    for role in ROLES:
        yield Scenario(f"S15/relay/inside-is-client/peer-seen-as/{role}-offers", passes, inside_as_client(role))
        yield Scenario(f"S15/relay/inside-is-client/mapped/{role}-offers", passes, inside_as_client(role, mapped=True))
    yield Scenario("S15/relay/inside-is-client/no-permission/phone-offers", "does not connect", inside_as_client("phone", False))


# -- Scripts/lab turn: minutes each, two Posterns, both relay-only

def both_relayed(body, server_arguments=(), inside_arguments=(), login=client):
    """`body(context, bench, server, call)` with a call whose both ends use the server, one of them through the pair."""
    async def scenario(context):
        async with context.bench() as bench:
            server = await coturn(context, bench, arguments=server_arguments)
            phone = await context.phone(bench, kind="postern", arguments=login(server, outside_url(bench)))
            inside = context.postern(bench, "pc", login(server, f"turn:{INSIDE['server']}:3478") + list(inside_arguments))
            call = await context.call(bench, "postern", rewrite="none", phone=phone, inside=inside)
            if await stands(context, call, 2.0):
                await asyncio.sleep(3)
                await body(context, bench, server, call)
    return scenario


def gaps_in(report, longer_than=0.5):
    """What the report says of gaps in the recording: (kind, seconds, cause)."""
    tracks = ((report.get("recording") or {}).get("tracks")) or []
    return [(track["kind"], gap["duration"] / 1000, gap.get("cause")) for track in tracks for gap in track.get("gaps") or []
            if gap["duration"] / 1000 >= longer_than]


def lasts(length, stale):
    """Nothing is to be noticed of renewals, each of which meets a nonce that has gone stale."""
    async def body(context, bench, server, call):
        await asyncio.sleep(length)
        await context.hang_up(call)
        out, into = call.decoded_by_phone(), call.decoded_inside()
        context.check("frames at both ends", min(out[0], into[0]) >= length * 14 and min(out[1], into[1]) >= length * 48,
                      f"{out} and {into} in {length} s")
        gaps = gaps_in(call.inside.report()) + gaps_in(call.phone.report())
        context.check("no gap in either recording", not gaps, gaps or "none")
        context.check("one allocation each", server_count(server) == 2, server_count(server))
        answers = [sum(e.get("event") == "relay" and "stale" in json.dumps(e).lower() for e in peer.events)
                   for peer in (call.inside, call.phone)]
        context.check("stale nonces", min(answers) >= stale, " and ".join(map(str, answers)))
        context.check("freed", await server.wait_freed(2), server.freed)
    return body


def killed(away):
    async def body(context, bench, server, call):
        await server.kill()
        await asyncio.sleep(away)
        await server.start()
        await asyncio.sleep(20)
        await context.hang_up(call)
        report = call.inside.report()
        gaps = gaps_in(report)
        longest = max((length for _, length, _ in gaps), default=0)
        context.check("the gap is in the report", gaps and longest >= away,
                      ", ".join(f"{kind} {seconds(length)} ({cause})" for kind, length, cause in gaps))
        context.check(f"gap <= {away} s and 12 s more", longest <= away + 12, seconds(longest))
        lost = [e for e in call.inside.events if "relay" in str(e.get("event", "")).lower()]
        context.note("events of the relay", ", ".join(sorted({e["event"] for e in lost})) or "none")
        out, into = call.decoded_by_phone(), call.decoded_inside()
        context.check("media again at both ends", min(out[1], into[1]) >= 50 * 16, f"{out} and {into}")
        context.check("exit", call.exit_code == 0, call.exit_code)
    return body


def ended(how):
    """coturn's log has to say that each allocation was freed by its owner."""
    async def body(context, bench, server, call):
        if how == "error":
            call.phone.process.kill()   # its allocation runs out; the inside waits, gives up and frees its own
        elif how == "sigterm":
            call.inside.process.send_signal(signal.SIGTERM)
            call.phone.process.send_signal(signal.SIGTERM)
        if how != "hang-up":
            for peer in (call.inside, call.phone):
                await asyncio.wait_for(peer.process.wait(), 40)
        await context.hang_up(call)
        wanted = 1 if how == "error" else 2
        context.check("freed", await server.wait_freed(wanted), f"{server.freed} of {wanted}")
        context.note("exit", f"{call.exit_code}")
    return body


def with_password_in_the_url(server, url):
    """The way that is not recommended: the program overwrites it in the list of processes."""
    return ["--ice-server", url.replace("turn:", f"turn:{USER}:{PASSWORD}@"), "--ice-policy", "relay"]


async def secrets(context, bench, server, call):
    """Everything that both wrote, at the highest level of detail, and the list of processes while they ran."""
    secret = PASSWORD.encode()
    seen, told = 0, []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    line = file.read()
            except OSError:
                continue
            if b"postern" in line.split(b"\0")[0]:
                seen += 1
                told += [line] if secret in line else []
    context.check("in no process title", seen >= 2 and not told, f"{seen} processes of postern")
    await context.hang_up(call)
    files, found = 0, []
    for peer in (call.inside, call.phone):
        for name in os.listdir(peer.folder):
            if name == "command":      # the lab's own note of what it ran
                continue
            files += 1
            with open(os.path.join(peer.folder, name), "rb") as file:
                found += [name] if secret in file.read() else []
    context.check("in no output", files >= 8 and not found, f"{files} files: report, events, log, signalling, recording; {found or 'none has it'}")
    events = call.inside.events
    context.check("and they do tell of the server", any(e.get("event") == "relayAllocated" for e in events),
                  f"{len(events)} events")


def long_scenarios():
    passes = "no gap, one allocation each, freed at the end"
    # In three minutes coturn's lifetimes ask for nothing but the end; in eleven all renewals are there.
    yield Scenario("turn/stale-nonce-60-s/three-minutes", passes, both_relayed(lasts(180, 1), ["--stale-nonce=60"]), 300)
    yield Scenario("turn/stale-nonce-60-s/eleven-minutes", passes, both_relayed(lasts(660, 3), ["--stale-nonce=60"]), 780)
    for away in (0, 5, 20):
        yield Scenario(f"turn/killed/away-{away}-s", "the call returns and its report has the gap", both_relayed(killed(away)), 150)
    for how in ("hang-up", "error", "sigterm"):
        yield Scenario(f"turn/freed/{how}", "coturn's log has each allocation freed",
                       both_relayed(ended(how), inside_arguments=["--setup-timeout", "10s"]))
    for name, login in (("file", client), ("url", with_password_in_the_url)):
        yield Scenario(f"turn/secrets/from-{name}", "credentials in no output and no process title",
                       both_relayed(secrets, inside_arguments=["--log-level", "debug"], login=login))
