"""Odd peers, hostile ones, and too few ports or flows: S11, S18, S19."""
import asyncio
import os
import re

from LabTests.agent import Agent
from LabTests.measure import seconds
from LabTests.runner import Scenario
from LabTests.scenarios_moving import standing
from LabTests.scenarios_setup import ROLES, frames
from LabTests.topology import FRONT, INSIDE, PHONES

UFRAG, PASSWORD = "labphone", "aPasswordOfTheLabPhone1234"
_SDP = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
{lite}m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:{ufrag}
a=ice-pwd:{password}
a=ice-options:trickle
a=fingerprint:sha-256 {fingerprint}
a=setup:{setup}
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=candidate:1 1 udp 2130706431 {address} {port} typ host
"""


def description(lite, setup, address, port, ufrag=UFRAG):
    return _SDP.format(lite="a=ice-lite\n" if lite else "", ufrag=ufrag, password=PASSWORD, setup=setup,
                       fingerprint=":".join(["AB"] * 32), address=address, port=port).replace("\n", "\r\n")


def answering(offer, description):
    """The description as an answer: the offer's first section taken, the others refused."""
    sections = re.findall(r"^m=(\S+) \d+ (\S+) (\d+)", offer, re.MULTILINE)
    mids = re.findall(r"^a=mid:(\S+)", offer, re.MULTILINE)
    refused = "".join(f"m={kind} 0 {protocol} {payload}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=inactive\r\n"
                      for (kind, protocol, payload), mid in list(zip(sections, mids))[1:])
    return description.replace("BUNDLE 0", "BUNDLE " + mids[0]).replace("a=mid:0", "a=mid:" + mids[0]) + refused


def credentials(sdp):
    return re.search(r"a=ice-ufrag:(\S+)", sdp)[1], re.search(r"a=ice-pwd:(\S+)", sdp)[1]


def candidate_port(sdp):
    return int(re.search(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+)", sdp, re.IGNORECASE)[1])


async def scripted(context, bench, name, manners, ufrag=UFRAG, number=0):
    agent = await Agent.start(
        bench.spaces[name], "scripted",
        {"address": {**PHONES, **INSIDE}[name], "front": FRONT, "manners": manners, "ufrag": ufrag, "password": PASSWORD},
        os.path.join(context.folder, f"scripted-{name}{number or ''}.log"))
    bench.closing.append(agent.stop)
    return agent


def odd_peer(manners, role):
    """ICE with a scripted phone, as far as DTLS: who is DTLS client sends its ClientHello on a validated pair."""
    async def body(context):
        async with context.bench() as bench:
            lite, phone_offers = manners == "lite", role == "phone"
            # A lite peer sends nothing by itself, so it cannot be behind the pair's back: it is on the server.
            place = "server" if lite else "phone"
            agent = await scripted(context, bench, place, manners)
            own = {**PHONES, **INSIDE}[place], await agent.ask("port")
            inside = context.inside(bench, arguments=["--setup-timeout", "12s"])
            await inside.start(not phone_offers)
            if phone_offers:
                sdp = await inside.answer(description(lite, "actpass", *own))
            else:
                # We are passive: the inside has to send the first flight.
                sdp = await inside.offer()
                await inside.take_answer(answering(sdp, description(lite, "passive", *own)))
            ufrag, password = credentials(sdp)
            start = asyncio.get_running_loop().time()
            await agent.ask("begin", remote=[FRONT, candidate_port(sdp)], ufrag=ufrag, password=password,
                            controlling=phone_offers and not lite)
            await asyncio.sleep(5)
            facts = await agent.ask("facts")
            if not lite:
                context.check("its checks are answered", facts["answered"] > 0, facts["answered"])
            context.check("it is checked", facts["requests"] > 0, facts["requests"])
            gives_way = manners == "conflict" and not phone_offers
            if (lite or not phone_offers) and not gives_way:
                context.check("it is nominated", facts["nominated"] > 0, facts["nominated"])
            if gives_way:
                # Both begin as controlling; its tie-breaker is the greater one, so the inside has to be controlled.
                context.check("the inside gives way", facts["roles"][-1:] == ["controlled"], facts["roles"])
            elif manners == "conflict":
                context.check("the conflict was had", facts["conflicts"] > 0, facts["conflicts"])
            first = facts["firstDTLS"]
            context.check("DTLS begins <= 3 s", first is not None and first - start <= 3,
                          seconds(first - start) if first else "never")
            code = await inside.close()
            context.note("exit (there is no DTLS at the other end)", code)
    return body


def hostile(role):
    """Somebody outside who knows the user name, has copied a request and some media, and scans the pool."""
    async def body(context):
        async with context.bench() as bench:
            call = await standing(context, bench, role, settle=3.0)
            agent = await scripted(context, bench, "phone2", "lite")
            ufrag, _ = credentials(open_sdp(call))
            port = (await bench.inside_capture()).own_ports()[0]
            copied = await bench.watches["phone"].ask("samples")
            loop = asyncio.get_running_loop()
            start = loop.time()
            pair = call.inside.times(event="pairSelected")
            forged = await agent.ask("forged", ufrag=ufrag, local=UFRAG)
            attacks = (("a wrong password", [port], forged), ("a request copied", [port], copied["request"] * 20),
                       ("media copied", [port], copied["rtp"] * 20),
                       ("a scan of the pool", list(range(bench.settings.pool[0], bench.settings.pool[1] + 1)),
                        [forged[0], "00", "80" + "00" * 40, "16fefd" + "00" * 60]))
            for words, ports, payloads in attacks:
                if not payloads:
                    context.check(words, False, "nothing was copied")
                    continue
                answer = await agent.ask("send", ports=ports, payloads=payloads, spacing=0.002, timeout=60)
                context.check(f"{words}: no media comes to the attacker", not answer["kinds"].get("media"), answer["kinds"])
                context.check(f"{words}: no amplification", answer["backBytes"] <= max(1500, 2 * answer["sentBytes"]),
                              f"{answer['sentBytes']} bytes sent, {answer['backBytes']} back")
            await asyncio.sleep(2)
            end = loop.time()
            inside, phone = await bench.inside_capture(), await bench.capture("phone")
            gaps = inside.silence("in", start, end), phone.silence("in", start, end)
            context.check("the call goes on", max(gaps) <= 1, f"{seconds(gaps[0])} in, {seconds(gaps[1])} out")
            context.note("pairs selected before", len(pair))
            await context.hang_up(call)
            frames(context, call, 60, 200)
    return body


def open_sdp(call):
    """The description the phone got of the inside."""
    import json
    with open(os.path.join(call.inside.folder, "signalling.ndjson")) as file:
        for line in file:
            if line.startswith("> ") and '"sdp"' in line:
                return json.loads(line[2:])["sdp"]
    raise RuntimeError("no description of the inside")


def few_ports():
    """A pool of two ports, and three calls."""
    async def body(context):
        async with context.bench(pool=(30008, 30009)) as bench:
            first = await context.call(bench, "phone", phone=await context.phone(bench))
            second = await context.call(bench, "phone", phone=await context.phone(bench, "phone2"),
                                        inside=context.inside(bench, 2))
            context.check("two calls stand", await first.connected() is not None and await second.connected() is not None)
            third = context.inside(bench, 3)
            await third.start(True)
            try:
                code = await asyncio.wait_for(third.process.wait(), 10)
            except asyncio.TimeoutError:
                code = None
            await third.close()
            context.check("the third says what is wrong, exit 12", code == 12, f"{code}: " + " ".join(third.errors[:2]))
            await asyncio.sleep(2)
            for call in (first, second):
                await context.hang_up(call)
                frames(context, call, 20, 60)
    return body


def few_flows(overflow):
    """The pair keeps one flow a host. `reject`: the second phone gets none; `evict`: it takes the first one's."""
    async def body(context):
        async with context.bench(max_flows=1, overflow=overflow) as bench:
            first = await context.call(bench, "phone", phone=await context.phone(bench))
            context.check("the first call stands", await first.connected() is not None)
            await asyncio.sleep(1)
            loop = asyncio.get_running_loop()
            start = loop.time()
            second = await context.call(bench, "phone", phone=await context.phone(bench, "phone2"),
                                        inside=context.inside(bench, 2, ["--setup-timeout", "15s"]))
            took = await second.connected(12)
            end = loop.time()
            report = await bench.relay_report("front")
            if overflow == "reject":
                inside, phone = await bench.inside_capture(), await bench.capture("phone")
                gap = max(inside.silence("in", start, end), phone.silence("in", start, end))
                context.check("the first call is untouched", gap <= 1, seconds(gap))
                context.check("the second does not connect", took is None, seconds(took) if took else "never")
            else:
                context.note("flows thrash", f"{report['evicted']} evictions at the front in {end - start:.0f} s")
            await context.hang_up(second)
            await context.hang_up(first)
            words = [(call.inside.report().get("diagnosis") or {}).get("sentence") or "-" for call in (first, second)]
            context.note("says", " / ".join(words))
            context.check("no crash", all(call.exit_code in (0, 20, 21, 22) for call in (first, second)),
                          f"{first.exit_code} {second.exit_code}")
            if overflow == "reject":
                frames(context, first, 60, 200)
    return body


def all_scenarios():
    yield Scenario("S11/relay/two-ports-three-calls", "a clear error for the surplus call, the others unharmed", few_ports())
    for overflow in ("reject", "evict"):
        yield Scenario(f"S11/relay/one-flow-{overflow}",
                       "the call in progress is unharmed" if overflow == "reject" else "no crash (that the proxy is short of flows is not told yet)",
                       few_flows(overflow))
    for manners in ("lite", "regular", "never", "conflict"):
        for role in ROLES:
            if manners == "regular" and role == "postern":
                continue
            yield Scenario(f"S18/relay/{manners}/{role}-offers", "gets as far as DTLS", odd_peer(manners, role))
    for role in ROLES:
        yield Scenario(f"S19/relay/hostile/{role}-offers", "the pair does not move, no amplification, no crash", hostile(role))
