"""Does the lab itself behave? Each property it is trusted for, with its opposite."""
import asyncio
import json
import os
import signal
import subprocess
import sys
import time

from LabTests.agent import Agent
from LabTests.runner import Scenario
from LabTests.topology import BACK, FRONT, INSIDE, NAT, PHONES, SIGNALLING_PORT

_UDP = """
import json, select, socket, sys, time
how = json.loads(sys.argv[1])
s = socket.socket(socket.AF_INET6 if ":" in how["bind"] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((how["bind"], how.get("port", 0)))
print("ready", flush=True)
sys.stdin.readline()
seen, errors, n, to = [], [], 0, how.get("to")
at = start = time.monotonic()
end = start + how["for"]
while time.monotonic() < end:
    if to and time.monotonic() >= at and n < how.get("count", 1):
        at += how.get("every", 0.02)
        n += 1
        try: s.sendto(b"%d %f" % (n, time.monotonic()), tuple(to))
        except OSError as error: errors.append(error.errno)
    if select.select([s], [], [], 0.005)[0]:
        try: data, source = s.recvfrom(2048)
        except OSError as error: errors.append(error.errno); continue
        seen.append([time.monotonic(), source[0], source[1], data.decode()])
        if how.get("echo"): s.sendto(data, source)
        if how.get("reply") and not to: to, at = source, time.monotonic()
print(json.dumps({"seen": seen, "errors": errors, "sent": n, "port": s.getsockname()[1]}))
"""


class Socket:
    """A socket in a namespace that from `begin` on, for so many seconds, sends, echoes, replies or listens."""

    def __init__(self, process):
        self.process = process

    @classmethod
    async def bound(cls, space, **how):
        """Returns once it is bound, however long its program took to start on a busy machine."""
        process = await asyncio.create_subprocess_exec(
            *space.command(sys.executable, "-c", _UDP, json.dumps(how)), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, limit=1 << 22)
        if (await asyncio.wait_for(process.stdout.readline(), 30)).strip() != b"ready":
            raise RuntimeError("a test socket could not be bound")
        return cls(process)

    def begin(self):
        self.process.stdin.write(b"\n")

    async def seen(self):
        """What it saw, when its time is over."""
        return json.loads((await self.process.communicate())[0])


async def udp(space, **how):
    """A socket, from its beginning to its end."""
    socket = await Socket.bound(space, **how)
    socket.begin()
    return await socket.seen()


async def exchanged(listener, *senders, between=None, after=0.0):
    """What the listener saw and what each sender saw; they begin together, once all of them are bound."""
    for socket in (listener, *senders):
        socket.begin()
    if between:
        await asyncio.sleep(after)
        await between()
    return await asyncio.gather(*(socket.seen() for socket in (listener, *senders)))


async def through(bench, count=1, every=0.02, port=30010, seconds=1.5, phone="phone", between=None, inside_port=None):
    """Sends through the pair to an echoing socket inside. (phone's view, inside's view)"""
    address = bench.settings.phone_address(phone)
    front = "2001:db8:1::40" if ":" in address else FRONT
    inside = await Socket.bound(bench.spaces[bench.settings.inside], bind=bench.inside,
                                port=inside_port or port - bench.settings.offset, echo=True, **{"for": seconds})
    sender = await Socket.bound(bench.spaces[phone], bind=address, to=[front, port], count=count, every=every,
                                **{"for": seconds - 0.1})
    into, out = await exchanged(inside, sender, between=between, after=seconds / 2)
    return out, into


def ports_of(view):
    return list(dict.fromkeys(packet[2] for packet in view["seen"]))


def mapping(kind):
    async def body(context):
        async with context.bench(kind=kind) as bench:
            phone, inside = await through(bench, 5)
            context.check("comes in from the back host's address", {p[1] for p in inside["seen"]} == {BACK},
                          {p[1] for p in inside["seen"]})
            context.check("one flow, one port", len(ports_of(inside)) == 1, ports_of(inside))
            context.check("the port is another one than the phone's", ports_of(inside) != [phone["port"]])
            context.check("answers come from the front", len(phone["seen"]) == 5
                          and {tuple(p[1:3]) for p in phone["seen"]} == {(FRONT, 30010)}, len(phone["seen"]))
            into, *_ = await exchanged(
                await Socket.bound(bench.spaces["pc"], bind=INSIDE["pc"], port=30010, **{"for": 1.5}),
                *[await Socket.bound(bench.spaces[name], bind=PHONES[name], to=[FRONT, 30010], **{"for": 1})
                  for name in ("phone", "phone2")])
            context.check("two phones, two ports", len(ports_of(into)) == 2, ports_of(into))
            into, out, _ = await exchanged(
                await Socket.bound(bench.spaces["pc"], bind=INSIDE["pc"], port=30012, echo=True, **{"for": 2}),
                await Socket.bound(bench.spaces["phone"], bind=PHONES["phone"], port=phone["port"], to=[FRONT, 30012],
                                   count=40, **{"for": 1.8}),
                await Socket.bound(bench.spaces["pc"], bind=INSIDE["pc"], port=30011, to=[BACK, ports_of(inside)[0]],
                                   count=5, **{"for": 1.2}))
            context.check("only the target may answer through a flow", len(out["seen"]) == 40
                          and all(p[2] == 30012 for p in out["seen"]), len(out["seen"]))
            unpublished, _ = await through(bench, 3, port=29000)
            context.check("twin: a port outside the pool does not pass", not unpublished["seen"], len(unpublished["seen"]))
    return body


def moving(kind):
    async def body(context):
        async with context.bench(kind=kind, idle=2) as bench:
            _, inside = await through(bench, 120, seconds=3, between=bench.flush)
            # Between the two hosts' flushes a packet may find one of them only: a port more.
            context.check("a flush moves the port", 2 <= len(ports_of(inside)) <= 3, ports_of(inside))
            _, inside = await through(bench, 120, seconds=3)
            context.check("twin: without it the port stays", len(ports_of(inside)) == 1, ports_of(inside))
            _, inside = await through(bench, 2, every=3.5, seconds=6)
            context.check("idling for longer than 2 s moves it", len(ports_of(inside)) == 2, ports_of(inside))
            if kind == "relay":
                _, inside = await through(bench, 120, seconds=3, between=bench.rebind)
                context.check("a rebind moves it", len(ports_of(inside)) == 2, ports_of(inside))
            phone, inside = await through(bench, 210, seconds=5, between=lambda: bench.outage(1))
            times = [p[0] for p in inside["seen"]]
            longest = max(b - a for a, b in zip(times, times[1:]))
            context.check("an outage of 1 s is one", 0.9 <= longest <= 1.8, f"{longest:.2f} s")
            context.check("and the mapping is another after it", len(ports_of(inside)) == 2, ports_of(inside))
    return body


async def idle_direction(context):
    async def back_and_forth(bench):
        """The phone sends once, the inside goes on sending to it."""
        _, phone = await exchanged(
            await Socket.bound(bench.spaces["pc"], bind=INSIDE["pc"], port=30010, reply=True, count=40, every=0.1, **{"for": 4.5}),
            await Socket.bound(bench.spaces["phone"], bind=PHONES["phone"], to=[FRONT, 30010], **{"for": 5}))
        return phone["seen"]
    async with context.bench(kind="relay", idle=2, idle_direction="client") as bench:
        seen = await back_and_forth(bench)
        context.check("client only: the inside's packets do not keep a mapping", 5 <= len(seen) <= 25, f"{len(seen)} of 40")
    async with context.bench(kind="relay", idle=2) as bench:
        seen = await back_and_forth(bench)
        context.check("twin: both directions do", len(seen) >= 38, f"{len(seen)} of 40")


async def flows(context):
    async with context.bench(kind="relay", max_flows=1) as bench:
        await through(bench)
        second, _ = await through(bench, 3, phone="phone2")
        report = await bench.relay_report("front")
        context.check("reject: a second flow gets nothing", not second["seen"] and report["refused"] == 3, report["refused"])
    async with context.bench(kind="relay", max_flows=1, overflow="evict") as bench:
        await through(bench)
        second, _ = await through(bench, 3, phone="phone2")
        report = await bench.relay_report("front")
        context.check("evict: it takes the first one's place", len(second["seen"]) == 3 and report["evicted"] == 1,
                      report["evicted"])


def egress(kind):
    async def body(context):
        for policy, words, expected in (("reject", "ICMP host-unreachable", "icmp 3/1"),
                                        ("prohibit", "ICMP admin-prohibited", "icmp 3/13"), ("drop", "nothing", None),
                                        ("noroute", "ENETUNREACH at once", 101)):
            async with context.bench(kind=kind, egress=policy) as bench:
                listening, sent = await exchanged(
                    await Socket.bound(bench.spaces["phone"], bind=PHONES["phone"], port=5000, **{"for": 1.5}),
                    await Socket.bound(bench.spaces["pc"], bind=INSIDE["pc"], port=30010, to=[PHONES["phone"], 5000], count=5,
                                       **{"for": 0.8}))
                capture = await bench.inside_capture()
                came = sorted({p[6] for p in capture.packets if p[6].startswith("icmp") and p[1] == "in"})
                context.check(f"{policy}: the phone gets nothing", not listening["seen"])
                if policy == "noroute":
                    context.check(f"{policy}: {words}", sent["errors"] == [expected] * 5, sent["errors"])
                else:
                    context.check(f"{policy}: {words}", came == ([expected] if expected else []), came)
                phone, _ = await through(bench, 3)
                context.check(f"{policy} twin: the pair's flows pass", len(phone["seen"]) == 3, len(phone["seen"]))
    return body


async def impairments(context):
    for loss in (0.0, 0.05, 0.2):
        async with context.bench(kind="relay", loss=loss) as bench:
            _, inside = await through(bench, 1500, every=0.002, seconds=6)
            seen = 1 - len({p[3] for p in inside["seen"]}) / 1500
            context.check(f"relay: loss of {loss:.0%}", abs(seen - loss) <= 0.03 and (loss > 0 or seen == 0), f"{seen:.1%}")
    async with context.bench(kind="nft", loss=0.2) as bench:
        _, inside = await through(bench, 1500, every=0.002, seconds=6)
        seen = 1 - len({p[3] for p in inside["seen"]}) / 1500
        context.check("nft: loss of 20%", abs(seen - 0.2) <= 0.03, f"{seen:.1%}")
    async with context.bench(kind="relay", delay=0.15, jitter=0.04) as bench:
        _, inside = await through(bench, 100, seconds=4)
        ways = sorted(p[0] - float(p[3].split()[1]) for p in inside["seen"])
        context.check("delay 150 ms, jitter 40 ms", 0.145 <= ways[0] <= 0.165 and 0.18 <= ways[-1] <= 0.22,
                      f"{ways[0] * 1000:.0f} to {ways[-1] * 1000:.0f} ms")
        numbers = [int(p[3].split()[0]) for p in inside["seen"]]
        context.check("in order", numbers == sorted(numbers))
    for kind in ("relay", "nft"):
        async with context.bench(kind=kind, rate=40_000, queue=0.3) as bench:
            _, inside = await through(bench, 800, every=0.0025, seconds=5)
            times = [p[0] for p in inside["seen"]]
            rate = sum(len(p[3]) + (28 if kind == "relay" else 42) for p in inside["seen"]) * 8 / (times[-1] - times[0])
            context.check(f"{kind}: rate 40 kbit/s", 30_000 <= rate <= 50_000, f"{rate / 1000:.0f} kbit/s")


async def no_way_out(context):
    async with context.bench() as bench:
        phone = bench.spaces["phone"].run("ip", "-o", "link")
        context.check("only its own interfaces", sorted(line.split()[1].split("@")[0].rstrip(":") for line in
                      phone.splitlines()) == ["eth0", "lo"])
        out = subprocess.run(bench.spaces["front"].command("ip", "route", "get", "192.88.99.1"), capture_output=True, text=True)
        reached = bench.spaces["front"].run("sh", "-c", "ping -c1 -W1 192.88.99.1 >/dev/null 2>&1 && echo reached || true")
        context.check("nothing outward answers", "reached" not in reached, out.stdout.split("\n")[0].strip())
        raw, _ = await exchanged(
            await Socket.bound(bench.spaces["pc"], bind=INSIDE["pc"], port=30010, **{"for": 1.2}),
            await Socket.bound(bench.spaces["phone"], bind=PHONES["phone"], to=[INSIDE["pc"], 30010], count=5, **{"for": 0.5}))
        context.check("inside addresses cannot be reached from outside", not raw["seen"])


def nat(kind):
    async def body(context):
        async with context.bench(phone_nat=kind) as bench:
            address, seen = bench.settings.phone_address("phone"), []
            for space, to in (("front", [FRONT, 7000]), ("inet", ["203.0.113.1", 7001])):
                view, _ = await exchanged(
                    await Socket.bound(bench.spaces[space], bind=to[0], port=to[1], **{"for": 1}),
                    await Socket.bound(bench.spaces["phone"], bind=address, port=6000, to=to, **{"for": 0.2}))
                seen.append(view["seen"][0])
            one, other = seen
            context.check("both see the NAT's address", one[1] == other[1] == NAT, one[1])
            if kind == "symmetric":
                context.check("another port to each", one[2] != other[2], f"{one[2]} {other[2]}")
            else:
                context.check("the same port to both", one[2] == other[2], f"{one[2]} {other[2]}")
            listening, _ = await exchanged(
                await Socket.bound(bench.spaces["phone"], bind=address, port=6000, **{"for": 1.2}),
                await Socket.bound(bench.spaces["inet"], bind="203.0.113.1", port=7002, to=[NAT, one[2]], **{"for": 0.3}))
            let_in = bool(listening["seen"])
            context.check("who was not sent to " + ("gets in" if kind == "fullcone" else "stays out"),
                          let_in == (kind == "fullcone"))
    return body


async def offset_and_ipv6(context):
    for kind in ("relay", "nft"):
        async with context.bench(kind=kind, offset=10000) as bench:
            phone, inside = await through(bench, 3, port=40010)
            context.check(f"{kind}: 40010 outside is 30010 inside", len(phone["seen"]) == 3, len(phone["seen"]))
            phone, _ = await through(bench, 3, port=30010, inside_port=30010)
            context.check(f"{kind} twin: 30010 outside is nothing", not phone["seen"])
    async with context.bench(ipv6="only") as bench:
        phone, inside = await through(bench, 3)
        context.check("IPv6 outside, IPv4 inside", len(phone["seen"]) == 3 and inside["seen"][0][1] == BACK)


def signalling(kind):
    async def body(context):
        async with context.bench(kind=kind) as bench:
            server = await asyncio.create_subprocess_exec(*bench.spaces["server"].command(
                sys.executable, "-m", "http.server", str(SIGNALLING_PORT), "--directory", context.folder),
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
            await asyncio.sleep(1)
            fetch = "import urllib.request; print(urllib.request.urlopen('http://%s:%d/', timeout=3).status)"
            status = bench.spaces["phone"].run(sys.executable, "-c", fetch % (FRONT, SIGNALLING_PORT), check=False).strip()
            context.check("8099 of the front is the server's", status == "200", status)
            other = bench.spaces["phone"].run(sys.executable, "-c", fetch % (FRONT, 8098), check=False).strip()
            context.check("twin: 8098 is nothing", other == "", other)
            server.kill()
            await server.wait()
    return body


async def measuring(context):
    """What the listener calls a gap is one: packets with a hole of 1.5 s of known place."""
    async with context.bench() as bench:
        agent = await Agent.start(bench.spaces["phone2"], "watch", {"interface": "eth0"}, os.path.join(context.folder, "w.log"))
        media = "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n" \
                "for n in range(200):\n s.sendto(bytes([128,111])+bytes(30),('203.0.113.11',9999)); " \
                "time.sleep(1.5 if n==100 else 0.02)\n"
        start = time.monotonic()
        await asyncio.to_thread(bench.spaces["phone"].run, sys.executable, "-c", media)
        end = time.monotonic()
        capture = await bench.capture("phone")
        gap = capture.silence("out", start + 0.5, end)
        context.check("a hole of 1.5 s is seen", 1.45 <= gap <= 1.75, f"{gap:.2f} s")
        context.check("twin: media that ends is no gap but the end", capture.silence("out", start, end + 3) == float("inf"))
        context.check("every packet counted", capture.count("out", "rtp") == 200, capture.count("out", "rtp"))
        await agent.stop()


async def leaves_nothing(context):
    """A lab that is killed takes everything with it."""
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "Scripts", "lab")
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        lab = subprocess.Popen([sys.executable, script, "up", "--out", context.folder + "/killed"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        line = lab.stdout.readline()
        before = inner_processes(lab.pid)
        lab.send_signal(number)
        lab.wait(20)
        await asyncio.sleep(0.5)
        after = [pid for pid in before if is_alive(pid)]
        context.check(f"killed by {number.name}: no process is left", len(before) >= 6 and not after,
                      f"{len(before)} before, {len(after)} after ({line.strip()})")


def is_alive(process):
    """A dead one that nobody has asked after yet (this lab is process 1 here) is not alive."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def inner_processes(root):
    """The descendants of a process."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    children.setdefault(int(file.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except OSError:
                pass
    found, waiting = [], [root]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found


def all_checks():
    for kind in ("relay", "nft"):
        yield Scenario(f"check/{kind}/mapping", "symmetric: a port for each flow, only the target answers", mapping(kind))
        yield Scenario(f"check/{kind}/moving", "flush, idling, rebind, outage move the port, nothing else does", moving(kind))
        yield Scenario(f"check/{kind}/egress", "the inside's own packets do not get out", egress(kind))
        yield Scenario(f"check/{kind}/8099", "signalling passes", signalling(kind))
    yield Scenario("check/idle-direction", "whose packets keep a mapping", idle_direction)
    yield Scenario("check/flow-limits", "reject and evict", flows)
    yield Scenario("check/impairments", "loss, delay, jitter and rate are as asked", impairments)
    yield Scenario("check/offset-ipv6", "offset and IPv6 outside", offset_and_ipv6)
    for kind in ("cone", "fullcone", "symmetric"):
        yield Scenario(f"check/phone-nat/{kind}", "maps and filters as its name says", nat(kind))
    yield Scenario("check/no-way-out", "no route outward, none inward but the pair", no_way_out)
    yield Scenario("check/measuring", "gaps and counts are what was sent", measuring)
    yield Scenario("check/leaves-nothing", "ended by any signal, nothing is left", leaves_nothing)
