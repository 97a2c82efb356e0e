"""A lossy wire between the two peers, made of two UDP sockets: no root, no netem.

Each side is told the relay's address instead of the other's candidates. ICE sees a pair of NATs and works through them.
Loss begins when `lossy` is set, so that a call can be set up on a clean wire first; STUN is never lost.
"""
import asyncio
import random
import re
import socket


class Relay:
    def __init__(self, ip, loss=0.0, delay=0.0, rate=None, queue=0.3, seed=1):
        self.ip, self.loss, self.delay, self.rate, self.queue = ip, loss, delay, rate, queue
        self.random = random.Random(seed)
        self.lossy = False
        self.blackout = False
        self.addresses = {"postern": None, "foreign": None}
        self.sides = {}
        self.lost = {"postern": 0, "foreign": 0}
        self.passed = {"postern": 0, "foreign": 0}
        self.free_at = {"postern": 0.0, "foreign": 0.0}

    async def start(self):
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.ip else socket.AF_INET
        for name in ("postern", "foreign"):
            side = _Side(self, name)
            await loop.create_datagram_endpoint(lambda: side, local_addr=(self.ip, 0), family=family)
            self.sides[name] = side

    def stop(self):
        for side in self.sides.values():
            side.transport.close()

    def port(self, name):
        return self.sides[name].transport.get_extra_info("sockname")[1]

    def carry(self, origin, data):
        target = "foreign" if origin == "postern" else "postern"
        address = self.addresses[target]
        if address is None:
            return
        is_media = data and 128 <= data[0] <= 191
        if is_media and (self.blackout or (self.lossy and self.random.random() < self.loss)):
            self.lost[target] += 1
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        leaves = now
        if self.rate and self.lossy:
            leaves = max(now, self.free_at[target])
            if leaves - now > self.queue and is_media:
                self.lost[target] += 1
                return
            leaves += len(data) * 8 / self.rate
            self.free_at[target] = leaves
        self.passed[target] += 1
        wait = leaves - now + self.delay
        side = self.sides[target]
        if wait > 0:
            loop.call_later(wait, side.send, data, address)
        else:
            side.send(data, address)

    def candidate_for(self, receiver, text):
        """What `receiver` is told instead of the other side's candidate; None to tell it nothing."""
        fields = text.removeprefix("a=").removeprefix("candidate:").split()
        if len(fields) < 8 or fields[1] != "1" or fields[2].lower() != "udp" or fields[7] != "host":
            return None
        sender = "foreign" if receiver == "postern" else "postern"
        ip, port = fields[4], int(fields[5])
        if (":" in ip) != (":" in self.ip) and not ip.endswith(".local"):
            return None
        if not ip.endswith(".local") and self.addresses[sender] is None:
            self.addresses[sender] = (ip, port)
        fields[4], fields[5] = self.ip, str(self.port(receiver))
        return "candidate:" + " ".join(fields)

    def rewritten(self, receiver, sdp):
        """The description with the candidates of its first section replaced."""
        lines, seen = [], 0
        for line in re.split(r"\r?\n", sdp):
            if line.startswith("a=candidate:"):
                text = self.candidate_for(receiver, line)
                if text is None or seen:
                    continue
                seen += 1
                line = "a=" + text
            lines.append(line)
        return "\r\n".join(lines)


class _Side(asyncio.DatagramProtocol):
    def __init__(self, relay, name):
        self.relay, self.name = relay, name

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.relay.addresses[self.name] = address
        self.relay.carry(self.name, data)

    def error_received(self, error):
        pass

    def send(self, data, address):
        if not self.transport.is_closing():
            self.transport.sendto(data, address)
