"""A listener on one wire: what came and went, when, of which kind. It sees packets, keys and contents stay hidden from it."""
import json
import os
import select
import socket
import struct
import time

from LabTests.agent import Commands, configuration
from LabTests.relay import kind_of

_MOST = 600_000
_STUN_CLASSES = {0x0001: "request", 0x0101: "response", 0x0111: "error", 0x0011: "indication"}


class Watch:
    def __init__(self, interface):
        self.packets, self.missed = [], 0
        self.copied = {}
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.socket.bind((interface, 0))
        self.socket.setblocking(False)

    def read(self):
        for _ in range(256):
            try:
                data, address = self.socket.recvfrom(400)
            except BlockingIOError:
                return
            packet = self.parsed(data)
            if packet is None:
                continue
            if address[2] == 4 and packet[4] in ("stun request", "rtp") and len(data) < 400:
                self.copied[packet[4]] = data
            if len(self.packets) >= _MOST:
                self.missed += 1
                continue
            self.packets.append([time.monotonic(), "out" if address[2] == 4 else "in", *packet])

    def parsed(self, data):
        """[source, port, destination, port, kind]; ICMP has 0 for ports and its type and code in the kind."""
        protocol = struct.unpack_from("!H", data, 12)[0]
        if protocol == 0x0800 and len(data) >= 34:
            source, destination = socket.inet_ntoa(data[26:30]), socket.inet_ntoa(data[30:34])
            transport, start = data[23], 14 + (data[14] & 15) * 4
        elif protocol == 0x86DD and len(data) >= 54:
            source, destination = (socket.inet_ntop(socket.AF_INET6, data[a:a + 16]) for a in (22, 38))
            transport, start = data[20], 54
        else:
            return None
        if transport == 1 and len(data) >= start + 2:
            return [source, 0, destination, 0, f"icmp {data[start]}/{data[start + 1]}"]
        if transport != 17 or len(data) < start + 8:
            return None
        source_port, destination_port = struct.unpack_from("!HH", data, start)
        payload = data[start + 8:]
        kind = kind_of(payload)
        if kind == "stun" and len(payload) >= 20:
            kind += " " + _STUN_CLASSES.get(struct.unpack_from("!H", payload)[0], "other")
        return [source, source_port, destination, destination_port, kind]

    def dump(self, path):
        """Writes what was seen so far, one packet a line."""
        self.read()
        with open(path, "w") as file:
            for packet in self.packets:
                file.write(json.dumps(packet) + "\n")
        return {"packets": len(self.packets), "missed": self.missed}

    def samples(self):
        """The last check and the last small media packet that left, as somebody who listens could have copied them (hex)."""
        def payload(kind):
            data = self.copied.get(kind)
            return [data[(14 + (data[14] & 15) * 4 if data[12:14] == b"\x08\x00" else 54) + 8:].hex()] if data else []
        return {"request": payload("stun request"), "rtp": payload("rtp")}

    def run(self):
        commands = Commands()
        verbs = {"dump": self.dump, "samples": self.samples}
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.register(commands.descriptor, select.POLLIN | select.POLLHUP)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == commands.descriptor:
                    if not commands.handle(verbs):
                        return
                else:
                    self.read()


if __name__ == "__main__":
    try:
        os.nice(-10)
    except OSError:
        pass
    Watch(configuration()["interface"]).run()
