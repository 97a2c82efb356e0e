"""What a listener's packets say."""
import math


class Capture:
    """Packets as `watch` lists them: [time, in|out, source, port, destination, port, kind]."""

    def __init__(self, packets):
        self.packets = packets

    def on_port(self, port):
        """Only what went to or from one port of this host."""
        return Capture([p for p in self.packets if p[5 if p[1] == "in" else 3] == port])

    def times(self, direction, kind="rtp", start=0.0, end=math.inf):
        return [p[0] for p in self.packets if p[1] == direction and p[6] == kind and start <= p[0] <= end]

    def silence(self, direction, start, end, kind="rtp"):
        """The longest time between `start` and `end` without a packet, in seconds; infinite where none came after it."""
        times = self.times(direction, kind, start, end)
        if not times:
            return math.inf
        # Up to the end there must have been packets again: what never came back is no gap but the end.
        if end - times[-1] > 1.0:
            return math.inf
        edges = [start] + times
        return max(b - a for a, b in zip(edges, edges[1:]))

    def sent_to(self, address, start=0.0, kinds=None):
        """Packets sent to an address after `start`."""
        return [p for p in self.packets
                if p[1] == "out" and p[4] == address and p[0] >= start and (kinds is None or p[6] in kinds)]

    def count(self, direction, kind, start=0.0, end=math.inf):
        return len(self.times(direction, kind, start, end))

    def first(self, direction, kind, start=0.0):
        return next((p[0] for p in self.packets if p[1] == direction and p[6] == kind and p[0] >= start), None)

    def rate(self, direction, start, end, kind="rtp"):
        return self.count(direction, kind, start, end) / max(0.001, end - start)

    def sources(self, start=0.0, end=math.inf, kind=None):
        """(address, port) of what came in, with the time of its first packet."""
        seen = {}
        for p in self.packets:
            if p[1] == "in" and start <= p[0] <= end and (kind is None or p[6] == kind) and not p[6].startswith("icmp"):
                seen.setdefault((p[2], p[3]), p[0])
        return seen

    def own_ports(self, start=0.0):
        return sorted({p[3] for p in self.packets if p[1] == "out" and p[0] >= start and not p[6].startswith("icmp")})

    def icmp(self, direction, start=0.0, end=math.inf):
        return len([p for p in self.packets if p[1] == direction and p[6].startswith("icmp") and start <= p[0] <= end])


def seconds(value):
    """A length for a table."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "never"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s"


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
