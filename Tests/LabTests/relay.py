"""One host of the proxy pair as a user-space relay: each client flow gets an upstream socket, hence a port, of its own.

Symmetric: a flow is (client address, client port, published port), and only its target may answer through it. A flow that is
forgotten closes its socket, so that what still comes for it meets the kernel's ICMP port-unreachable, as on a real host.
"""
import heapq
import os
import random
import select
import socket
import time

from LabTests.agent import Commands, configuration
from LabTests.stream import Streams

_CLOSED_FLOWS_KEPT = 500


def kind_of(data):
    """RFC 7983, as far as the lab counts."""
    first = data[0] if data else 255
    if first < 4:
        return "stun"
    if 20 <= first < 64:
        return "dtls"
    if 128 <= first < 192:
        return "rtcp" if len(data) > 1 and 192 <= data[1] < 224 else "rtp"
    return "other"


class Wire:
    """One direction of the impaired link: loss, delay, jitter, rate. Packets stay in order."""

    def __init__(self, settings, source):
        self.settings, self.random = settings, source
        self.free_at = self.last_at = 0.0
        self.lost = self.overflowed = self.carried = 0
        self.longest_wait = 0.0

    def departure(self, size, now):
        """When a packet of `size` bytes arrives; None where it does not."""
        settings = self.settings
        if settings["loss"] and self.random.random() < settings["loss"]:
            self.lost += 1
            return None
        at = now
        if settings["rate"]:
            wait = max(0.0, self.free_at - now)
            if wait > settings["queue"]:
                self.overflowed += 1
                return None
            self.longest_wait = max(self.longest_wait, wait)
            self.free_at = max(now, self.free_at) + (size + 28) * 8 / settings["rate"]
            at = self.free_at
        at += settings["delay"] + (self.random.random() * settings["jitter"] if settings["jitter"] else 0)
        self.last_at = at = max(at, self.last_at) if at > now else at
        self.carried += 1
        return at

    def report(self):
        return {"carried": self.carried, "lost": self.lost, "overflowed": self.overflowed,
                "longestWait": self.longest_wait}


class Flow:
    def __init__(self, listener, client, published, target, upstream, now):
        self.listener, self.client, self.published, self.target = listener, client, published, target
        self.upstream = upstream
        self.created = self.last_up = self.last_down = now
        self.last_live = now
        self.up, self.down = {}, {}
        self.former_ports = []

    def report(self):
        return {"client": list(self.client[:2]), "port": self.published, "formerPorts": self.former_ports,
                "upstreamPort": self.upstream.getsockname()[1] if self.upstream.fileno() >= 0 else None,
                "created": self.created, "lastUp": self.last_up, "lastDown": self.last_down, "up": self.up,
                "down": self.down}


class Relay:
    def __init__(self, settings):
        self.settings = settings
        self.poll = select.epoll()
        self.handlers = {}
        self.timers, self.order = [], 0
        self.flows, self.closed = {}, []
        self.refused = self.evicted = self.expired = self.strangers = 0
        source = random.Random(settings["seed"])
        self.upward, self.downward = Wire(settings, source), Wire(settings, source)
        self.out_until = 0.0
        self.flush_at_dtls = None
        for entry in settings["udp"]:
            for address in settings["listen"]:
                self._listen(address, entry["port"], (entry["host"], entry["to"]))
        self.streams = Streams(self, settings)

    # -- sockets

    def watch(self, descriptor, mask, handler):
        self.handlers[descriptor] = handler
        self.poll.register(descriptor, mask)

    def forget(self, descriptor):
        if self.handlers.pop(descriptor, None):
            self.poll.unregister(descriptor)

    def after(self, at, action):
        self.order += 1
        heapq.heappush(self.timers, (at, self.order, action))

    def _listen(self, address, port, target):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_DGRAM)
        listener.setblocking(False)
        listener.bind((address, port))
        self.watch(listener.fileno(), select.EPOLLIN, lambda _: self._from_client(listener, port, target))

    def _upstream(self, key):
        upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        upstream.setblocking(False)
        upstream.bind((self.settings["bind"], 0))
        self.watch(upstream.fileno(), select.EPOLLIN, lambda _: self._from_target(key))
        return upstream

    # -- packets

    def _from_client(self, listener, port, target):
        for _ in range(32):
            try:
                data, client = listener.recvfrom(65536)
            except OSError:
                return
            now = time.monotonic()
            if now < self.out_until:
                continue
            key = (listener.fileno(), client)
            flow = self.flows.get(key) or self._new_flow(key, listener, client, port, target, now)
            if flow is None:
                continue
            kind = kind_of(data)
            flow.up[kind] = flow.up.get(kind, 0) + 1
            flow.last_up = flow.last_live = now
            self._carry(self.upward, data, now, lambda data=data, flow=flow: self._sent(flow.upstream, data, flow.target))
            if kind == "dtls" and self.flush_at_dtls is not None:
                self.flush_at_dtls -= 1
                if self.flush_at_dtls <= 0:
                    self.flush_at_dtls = None
                    self.flush()

    def _new_flow(self, key, listener, client, port, target, now):
        limit = self.settings["max_flows"]
        if limit and len(self.flows) >= limit:
            if self.settings["overflow"] == "reject":
                self.refused += 1
                return None
            self.evicted += 1
            self._end(min(self.flows, key=lambda k: self.flows[k].created))
        flow = self.flows[key] = Flow(listener, client, port, target, self._upstream(key), now)
        return flow

    def _from_target(self, key):
        flow = self.flows[key]
        for _ in range(32):
            try:
                data, source = flow.upstream.recvfrom(65536)
            except OSError:
                return
            now = time.monotonic()
            if source != flow.target:
                self.strangers += 1
                continue
            if now < self.out_until:
                continue
            kind = kind_of(data)
            flow.down[kind] = flow.down.get(kind, 0) + 1
            flow.last_down = now
            if self.settings["idle_direction"] == "both":
                flow.last_live = now
            self._carry(self.downward, data, now, lambda data=data, flow=flow: self._sent(flow.listener, data, flow.client))

    def _carry(self, wire, data, now, send):
        at = wire.departure(len(data), now)
        if at is None:
            return
        if at <= now:
            send()
        else:
            self.after(at, send)

    def _sent(self, sender, data, address):
        try:
            sender.sendto(data, address)
        except OSError:
            pass

    # -- the mapping

    def _end(self, key):
        flow = self.flows.pop(key)
        self.closed = self.closed[-_CLOSED_FLOWS_KEPT:] + [flow.report()]
        self.forget(flow.upstream.fileno())
        flow.upstream.close()

    def _expire(self, now):
        for key in [k for k, flow in self.flows.items() if now - flow.last_live > self.settings["idle"]]:
            self.expired += 1
            self._end(key)

    def flush(self):
        """All mappings are forgotten, as by a restart: the next packet of a client makes a new one."""
        for key in list(self.flows):
            self._end(key)
        return True

    def rebind(self):
        """All flows go on from another upstream port."""
        for key, flow in self.flows.items():
            before = flow.upstream
            flow.former_ports.append(before.getsockname()[1])
            flow.upstream = self._upstream(key)
            self.forget(before.fileno())
            before.close()
        return True

    def cross(self):
        """The first two flows go on from each other's upstream port: after a restart a port may be anybody's."""
        (one, flow), (other, second) = list(self.flows.items())[:2]
        for key, its in ((one, flow), (other, second)):
            self.forget(its.upstream.fileno())
            its.former_ports.append(its.upstream.getsockname()[1])
        flow.upstream, second.upstream = second.upstream, flow.upstream
        for key, its in ((one, flow), (other, second)):
            self.watch(its.upstream.fileno(), select.EPOLLIN, lambda _, key=key: self._from_target(key))
        return True

    def outage(self, seconds):
        """The host is down for so long, and has forgotten its mappings and connections."""
        self.out_until = time.monotonic() + seconds
        self.flush()
        self.streams.cut()
        return True

    def change(self, **settings):
        self.settings.update(settings)
        return True

    def flush_on_dtls(self, count):
        """Flush once, with the `count`th DTLS datagram from outside."""
        self.flush_at_dtls = count
        return True

    def measure_anew(self):
        """The longest wait in the link's queue is looked for from now on."""
        self.upward.longest_wait = self.downward.longest_wait = 0.0
        return True

    def report(self):
        return {"flows": [flow.report() for flow in self.flows.values()], "closed": self.closed,
                "refused": self.refused, "evicted": self.evicted, "expired": self.expired,
                "strangers": self.strangers, "up": self.upward.report(), "down": self.downward.report(),
                "streams": self.streams.report()}

    def run(self):
        commands = Commands()
        alive = [True]
        verbs = {"flush": self.flush, "rebind": self.rebind, "cross": self.cross, "outage": self.outage, "change": self.change,
                 "flush_on_dtls": self.flush_on_dtls, "report": self.report, "measure_anew": self.measure_anew,
                 "cut_streams": self.streams.cut,
                 "freeze_streams": self.streams.freeze}

        def command(_):
            alive[0] = commands.handle(verbs)
        self.watch(commands.descriptor, select.EPOLLIN | select.EPOLLHUP, command)
        sweep = time.monotonic()
        while alive[0]:
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()
            if now - sweep > 0.2:
                sweep = now
                self._expire(now)
                self.streams.expire(now)
            wait = min(0.25, self.timers[0][0] - now) if self.timers else 0.25
            for descriptor, mask in self.poll.poll(max(0, wait)):
                if handler := self.handlers.get(descriptor):
                    handler(mask)


if __name__ == "__main__":
    try:
        os.nice(-5)
    except OSError:
        pass
    Relay(configuration()).run()
