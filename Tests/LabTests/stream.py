"""The relay's TCP half: published ports, each connection joined to one of its own towards the inside."""
import errno
import select
import socket
import time

_BUFFER = 1 << 20


class Streams:
    def __init__(self, relay, settings):
        self.relay, self.settings = relay, settings
        self.pairs = set()
        self.opened = self.cut_for_idling = 0
        for entry in settings["tcp"]:
            for address in settings["listen"]:
                self._listen(address, entry["port"], (entry["host"], entry["to"]))

    def _listen(self, address, port, target):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((address, port))
        listener.listen(128)
        self.relay.watch(listener.fileno(), select.EPOLLIN, lambda _: self._accept(listener, target))

    def _accept(self, listener, target):
        try:
            client, _ = listener.accept()
        except OSError:
            return
        if time.monotonic() < self.relay.out_until:
            client.close()
            return
        self.opened += 1
        upstream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for one in (client, upstream):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream.bind((self.settings["bind"], 0))
        if upstream.connect_ex(target) not in (0, errno.EINPROGRESS):
            client.close()
            upstream.close()
            return
        self.pairs.add(_Pair(self, client, upstream))

    def cut(self):
        for pair in list(self.pairs):
            pair.close(abrupt=True)
        return True

    def freeze(self):
        """Half-open: connections stay, and carry nothing any more."""
        for pair in self.pairs:
            pair.freeze()
        return True

    def expire(self, now):
        limit = self.settings["tcp_idle"]
        for pair in [p for p in self.pairs if limit and now - p.last > limit]:
            self.cut_for_idling += 1
            pair.close(abrupt=True)

    def report(self):
        return {"open": len(self.pairs), "opened": self.opened, "cutForIdling": self.cut_for_idling}


class _Pair:
    def __init__(self, streams, client, upstream):
        self.streams, self.last = streams, time.monotonic()
        self.other = {client: upstream, upstream: client}
        self.waiting = {client: bytearray(), upstream: bytearray()}
        self.ended = set()
        for one in self.other:
            streams.relay.watch(one.fileno(), select.EPOLLIN, lambda mask, one=one: self._ready(one, mask))

    def _ready(self, one, mask):
        other = self.other[one]
        try:
            if mask & select.EPOLLOUT:
                self._write(one)
            if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and one not in self.ended:
                data = one.recv(65536)
                self.last = time.monotonic()
                if not data:
                    self.ended.add(one)
                self.waiting[other] += data
                if len(self.waiting[other]) > _BUFFER:
                    return self.close(abrupt=True)
                self._write(other)
        except BlockingIOError:
            pass
        except OSError:
            return self.close()
        if len(self.ended) == 2 and not any(self.waiting.values()):
            self.close()
        elif one.fileno() >= 0:
            self._interest(one)
            self._interest(other)

    def _write(self, one):
        buffer = self.waiting[one]
        try:
            while buffer:
                del buffer[:one.send(buffer)]
        except (BlockingIOError, OSError) as error:
            if error.errno not in (errno.EAGAIN, errno.ENOTCONN):
                raise
        if not buffer and self.other[one] in self.ended:
            try:
                one.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def _interest(self, one):
        mask = (0 if one in self.ended else select.EPOLLIN) | (select.EPOLLOUT if self.waiting[one] else 0)
        self.streams.relay.poll.modify(one.fileno(), mask)

    def freeze(self):
        for one in self.other:
            self.streams.relay.forget(one.fileno())

    def close(self, abrupt=False):
        self.streams.pairs.discard(self)
        for one in self.other:
            self.streams.relay.forget(one.fileno())
            if abrupt:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
