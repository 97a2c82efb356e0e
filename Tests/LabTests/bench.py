"""A lab that is up: the topology with its proxy pair, its NAT and its listeners, and what can be done to them."""
import asyncio
import json
import os
import sys

from LabTests import nftables, topology
from LabTests.agent import Agent
from LabTests.measure import Capture
from LabTests.topology import (BACK, BACK_OUTER, FRONT, FRONT6, FRONT_INNER, INSIDE, SIGNALLING_PORT, STUN_PORT,
                               Topology)


class Bench:
    """`async with Bench(settings, folder) as bench`. Files of all its programs go to `folder`."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        self.spaces = Topology(settings)
        self.relays, self.watches, self.closing = {}, {}, []
        os.makedirs(folder, exist_ok=True)

    async def __aenter__(self):
        settings = self.settings
        try:
            self.spaces.up()
            nftables.apply(self.spaces["back"], nftables.egress(settings))
            if settings.phone_nat != "none":
                nftables.apply(self.spaces["pnat"], nftables.phone_nat(settings.phone_nat))
            if settings.kind == "relay":
                await asyncio.gather(self._relay("front"), self._relay("back"))
            else:
                self._kernel_pair()
            await asyncio.gather(*(self._watch(name) for name in ("phone", "phone2", settings.inside)))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        for close in reversed(self.closing):
            try:
                await close()
            except Exception as error:
                print(f"lab: while closing: {error}", file=sys.stderr)
        self.closing = []
        await asyncio.gather(*(agent.stop() for agent in [*self.relays.values(), *self.watches.values()]))
        self.spaces.down()

    @property
    def inside(self):
        """The address the pool leads to."""
        return INSIDE[self.settings.inside]

    # -- the pair

    async def _relay(self, name):
        settings = self.settings
        first, last = (port + settings.offset for port in settings.pool)
        is_front = name == "front"
        listen = [BACK_OUTER]
        if is_front:
            listen = ([FRONT] if settings.ipv6 != "only" else []) + ([FRONT6] if settings.ipv6 != "none" else [])
        def there(port, moved=0, host=None):
            return {"port": port, "host": BACK_OUTER if is_front else host or INSIDE["server"],
                    "to": port if is_front else port - moved}
        pool = [there(port, settings.offset, self.inside) for port in range(first, last + 1)]
        configuration = {
            "listen": listen, "bind": FRONT_INNER if is_front else BACK, "seed": settings.seed + (0 if is_front else 1000),
            "udp": [] if settings.tcp_only else (pool if settings.pool_proto != "tcp" else []) + [there(STUN_PORT)],
            "tcp": (pool if settings.pool_proto != "udp" else []) + [there(SIGNALLING_PORT), there(STUN_PORT)],
            "idle": settings.idle, "idle_direction": settings.idle_direction, "tcp_idle": settings.tcp_idle,
            "max_flows": settings.max_flows, "overflow": settings.overflow, "queue": settings.queue,
            "loss": settings.loss if is_front else 0, "delay": settings.delay if is_front else 0,
            "jitter": settings.jitter if is_front else 0, "rate": settings.rate if is_front else 0}
        self.relays[name] = await Agent.start(self.spaces[name], "relay", configuration, self._log(name))

    def _kernel_pair(self):
        settings = self.settings
        if settings.delay or settings.jitter or settings.max_flows or settings.ipv6 != "none" or settings.tcp_idle:
            raise ValueError("delay, jitter, max_flows, tcp_idle and IPv6 outside need --kind relay")
        if settings.tcp_only:
            raise ValueError("tcp_only needs --kind relay")
        if settings.idle_direction != "both":
            raise ValueError("idle_direction needs --kind relay: the kernel's mappings live by both directions")
        nftables.apply(self.spaces["front"], nftables.front(settings))
        nftables.apply(self.spaces["back"], nftables.back(settings))
        for name in ("front", "back"):
            for key in ("udp_timeout", "udp_timeout_stream"):
                self.spaces[name].set("net.netfilter.nf_conntrack_" + key, max(1, round(settings.idle)))
        if settings.rate:
            for interface in ("eth0", "eth1"):
                self.spaces["front"].run("tc", "qdisc", "add", "dev", interface, "root", "tbf", "rate",
                                         f"{round(settings.rate)}bit", "burst", "3000", "latency",
                                         f"{round(settings.queue * 1000)}ms")

    async def flush(self, hosts=("front", "back")):
        """Both hosts forget their mappings."""
        for name in hosts:
            if self.relays:
                await self.relays[name].ask("flush")
            else:
                self.spaces[name].run("env", "PYTHONPATH=" + os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                      sys.executable, "-m", "LabTests.nftables", "forget-mappings")

    async def rebind(self):
        """The inner host goes on from other ports; the mappings stay."""
        if not self.relays:
            raise ValueError("rebind needs --kind relay; flush does the same to the kernel's mappings")
        await self.relays["back"].ask("rebind")

    async def outage(self, seconds):
        """Both hosts are down for so long and lose their mappings. Returns at its end."""
        if self.relays:
            await asyncio.gather(*(relay.ask("outage", seconds=seconds) for relay in self.relays.values()))
            await asyncio.sleep(seconds)
            return
        for name in ("front", "back"):
            nftables.apply(self.spaces[name], nftables.outage())
        await self.flush()
        await asyncio.sleep(seconds)
        await self.flush()
        for name in ("front", "back"):
            self.spaces[name].run("nft", "delete", "table", "ip", "outage")

    async def relay_report(self, name="back"):
        return await self.relays[name].ask("report") if self.relays else None

    # -- the listeners

    async def _watch(self, name):
        self.watches[name] = await Agent.start(self.spaces[name], "watch", {"interface": "eth0"}, self._log("watch-" + name))

    async def capture(self, name):
        """What was seen on the wire of a namespace that has a listener."""
        path = os.path.join(self.folder, f"packets-{name}.ndjson")
        await self.watches[name].ask("dump", path=path)
        with open(path) as file:
            return Capture([json.loads(line) for line in file])

    async def inside_capture(self):
        return await self.capture(self.settings.inside)

    def _log(self, name):
        return os.path.join(self.folder, name + ".log")

    def egress_counter(self):
        """Packets of the inside's own that the back host turned away."""
        for line in self.spaces["back"].run("nft", "list", "table", "ip", "egress").splitlines():
            if "eth0" in line and "counter packets" in line:
                return int(line.split("counter packets ")[1].split()[0])
        return 0
