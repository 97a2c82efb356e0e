"""Peers made of a script, in a namespace: an ICE agent with odd manners, and somebody hostile.

They have no DTLS: a scripted peer gets as far as the other side's ClientHello (or its own junk being ignored).
"""
import os
import select
import socket
import time

from LabTests import stun
from LabTests.agent import Commands, configuration


class Scripted:
    """Manners: "lite" only answers; "regular" nominates one second after its check succeeded; "never" checks and never
    nominates; "conflict" begins in the other's role, with the greater tie-breaker."""

    def __init__(self, settings):
        self.settings = settings
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((settings["address"], 0))
        self.socket.setblocking(False)
        self.remote = None
        self.facts = {"requests": 0, "nominated": 0, "answered": 0, "dtls": 0, "conflicts": 0, "firstDTLS": None,
                      "roles": []}
        self.transactions, self.answered_at, self.next_check = {}, None, None
        self.controlling, self.tie_breaker = False, b"\xff" * 8

    def port(self):
        return self.socket.getsockname()[1]

    def begin(self, remote, ufrag, password, controlling):
        """Credentials and address of the other side."""
        self.remote, self.remote_ufrag, self.remote_password = tuple(remote), ufrag, password
        self.controlling = controlling != (self.settings["manners"] == "conflict")
        if self.settings["manners"] != "lite":
            self.next_check = time.monotonic()
        return True

    def read(self):
        while True:
            try:
                data, source = self.socket.recvfrom(4096)
            except OSError:
                return
            if data and 20 <= data[0] < 64:
                self.facts["dtls"] += 1
                self.facts["firstDTLS"] = self.facts["firstDTLS"] or time.monotonic()
                continue
            got = stun.parsed(data)
            if got is None:
                continue
            kind, transaction, attributes = got
            if kind == stun.REQUEST and stun.is_signed_with(data, self.settings["password"]):
                self._request(transaction, attributes, source)
            elif kind == stun.RESPONSE and transaction in self.transactions:
                self.facts["answered"] += 1
                self.answered_at = self.answered_at or time.monotonic()
            elif kind == stun.ERROR and transaction in self.transactions:
                # 487: the other one insists, so we give way (RFC 8445 §7.2.5.1).
                self.facts["conflicts"] += 1
                self.controlling = not self.controlling

    def _request(self, transaction, attributes, source):
        self.facts["requests"] += 1
        self.facts["nominated"] += stun.USE_CANDIDATE in attributes
        self.facts["roles"].append("controlling" if stun.CONTROLLING in attributes else "controlled")
        answer = stun.response(transaction, source, self.settings["password"])
        if self.settings["manners"] == "conflict" and self.controlling and stun.CONTROLLING in attributes:
            # Our tie-breaker is the greatest there is, so the other one has to give way (§7.3.1.1).
            self.facts["conflicts"] += 1
            answer = stun.role_conflict(transaction, self.settings["password"])
        self.socket.sendto(answer, source)

    def advance(self):
        now = time.monotonic()
        if self.next_check is None or now < self.next_check:
            return
        self.next_check = now + (0.2 if self.answered_at is None else 1.0)
        nominate = (self.settings["manners"] in ("regular", "conflict") and self.controlling and self.answered_at is not None
                    and now - self.answered_at > 0.9)
        data, transaction = stun.request(
            self.remote_ufrag, self.settings["ufrag"], self.remote_password, self.controlling, nominate,
            self.tie_breaker)
        self.transactions[transaction] = now
        self.socket.sendto(data, self.remote)

    # -- the hostile one

    def send(self, ports, payloads, spacing=0.0):
        """Sends each payload (hex) to each port of the front; what came back, in packets and bytes by kind."""
        sent = back = sent_bytes = back_bytes = 0
        kinds = {}

        def collect():
            nonlocal back, back_bytes
            while True:
                try:
                    data, _ = self.socket.recvfrom(4096)
                except OSError:
                    return
                back, back_bytes = back + 1, back_bytes + len(data)
                got = stun.parsed(data)
                name = {stun.REQUEST: "request", stun.RESPONSE: "response", stun.ERROR: "error"}.get(
                    got[0], "other") if got else "media" if data and 128 <= data[0] < 192 else "other"
                kinds[name] = kinds.get(name, 0) + 1
        for port in ports:
            for payload in payloads:
                data = bytes.fromhex(payload)
                self.socket.sendto(data, (self.settings["front"], port))
                sent, sent_bytes = sent + 1, sent_bytes + len(data)
                time.sleep(spacing)
                collect()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            collect()
            time.sleep(0.02)
        return {"sent": sent, "back": back, "sentBytes": sent_bytes, "backBytes": back_bytes, "kinds": kinds}

    def forged(self, ufrag, local, count=20):
        """Requests with the right user name and a wrong password, as hex."""
        return [stun.request(ufrag, local, "wrong password, surely", True, True)[0].hex() for _ in range(count)]

    def run(self):
        commands = Commands()
        verbs = {"port": self.port, "begin": self.begin, "facts": lambda: self.facts, "send": self.send,
                 "forged": self.forged}
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.register(commands.descriptor, select.POLLIN | select.POLLHUP)
        while True:
            for descriptor, _ in poll.poll(50):
                if descriptor == commands.descriptor:
                    if not commands.handle(verbs):
                        return
                else:
                    self.read()
            self.advance()


if __name__ == "__main__":
    Scripted(configuration()).run()
