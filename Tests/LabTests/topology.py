"""Who is where: the namespaces, their wires and addresses, and what the hosts forward.

    phone  203.0.113.10 ─┐                                                       ┌ server 192.0.2.133
    phone2 203.0.113.11 ─┼─ 203.0.113.40 front 198.51.100.1 ── .2 back 192.0.2.131 ┤
    inet   203.0.113.1  ─┘                                                       └ pc     192.0.2.50

With a NAT before the phones they are .130 and .131 behind pnat 203.0.113.20. With IPv6 outside the phones are 2001:db8:1::10
and ::11, the front ::40. All are documentation addresses; no namespace has a wire to the machine's own network.
"""
import dataclasses
import subprocess

FRONT, FRONT_INNER, BACK_OUTER, BACK = "203.0.113.40", "198.51.100.1", "198.51.100.2", "192.0.2.131"
FRONT6 = "2001:db8:1::40"
INSIDE = {"pc": "192.0.2.50", "server": "192.0.2.133"}
PHONES = {"phone": "203.0.113.10", "phone2": "203.0.113.11"}
PHONES6 = {"phone": "2001:db8:1::10", "phone2": "2001:db8:1::11"}
HIDDEN_PHONES = {"phone": "203.0.113.130", "phone2": "203.0.113.131"}
NAT = "203.0.113.20"
SIGNALLING_PORT, STUN_PORT = 8099, 3478


@dataclasses.dataclass
class Settings:
    """What a lab is made of. Times in seconds, rate in bit/s, loss as a fraction."""
    kind: str = "relay"              # relay | nft
    inside: str = "pc"               # where the pool leads to
    pool: tuple = (30008, 30208)     # as bound inside
    pool_proto: str = "udp"          # udp | tcp | both: what the pair forwards of the pool
    offset: int = 0                  # outside port = inside port + offset
    idle: float = 60.0
    idle_direction: str = "both"     # both | client: whose packets keep a mapping alive (relay)
    max_flows: int = 0               # per host of the pair, 0: no limit (relay)
    overflow: str = "reject"         # reject | evict
    loss: float = 0.0
    delay: float = 0.0               # each way (relay)
    jitter: float = 0.0              # 0 … jitter on top, order kept (relay)
    rate: float = 0.0                # each way
    queue: float = 0.3               # seconds of `rate` that may wait
    egress: str = "reject"           # reject | prohibit | drop | noroute: what packets to the outside meet
    phone_nat: str = "none"          # none | cone | fullcone | symmetric
    ipv6: str = "none"               # none | both | only (outside)
    tcp_idle: float = 0.0            # the pair cuts idle TCP after this, 0: never (relay)
    tcp_only: bool = False           # the pair passes no UDP at all
    seed: int = 1

    def phone_address(self, name):
        if self.ipv6 == "only":
            return PHONES6[name]
        return (PHONES if self.phone_nat == "none" else HIDDEN_PHONES)[name]


class Namespace:
    """A network namespace of this lab."""

    def __init__(self, name):
        self.name = name

    def command(self, *arguments):
        return ["ip", "netns", "exec", self.name, *arguments]

    def run(self, *arguments, text=None, check=True):
        done = subprocess.run(self.command(*arguments), input=text, capture_output=True, text=True, timeout=30)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def set(self, key, value):
        """A sysctl."""
        self.run("sh", "-c", f"echo {value} > /proc/sys/{key.replace('.', '/')}")

    def addresses(self, *lines):
        """Runs `ip` commands."""
        done = subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines) + "\n",
                              capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()}")


class Topology:
    def __init__(self, settings):
        self.settings = settings
        self.spaces = {}

    def __getitem__(self, name):
        return self.spaces[name]

    def up(self):
        has_nat = self.settings.phone_nat != "none"
        names = ["inet", "phone", "phone2", "front", "back", "lan", "server", "pc"] + (["pnat"] if has_nat else [])
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True, timeout=10)
            self.spaces[name] = Namespace(name)
        for name in names:
            self[name].addresses("link set lo up")
            # Every interface is made here, so none of IPv6's waiting and announcing is wanted.
            self[name].set("net.ipv6.conf.default.accept_dad", 0)
            self[name].set("net.ipv6.conf.default.accept_ra", 0)
        for switch in ("inet", "lan"):
            self[switch].addresses("link add name br0 type bridge", "link set br0 up")
        home = "pnat" if has_nat else "inet"
        if has_nat:
            self["pnat"].addresses("link add name br0 type bridge", "link set br0 up")
        for phone in ("phone", "phone2"):
            self._plug(phone, "eth0", home)
        if has_nat:
            self._plug("pnat", "eth0", "inet")
        self._plug("front", "eth0", "inet")
        self._plug("back", "eth0", "lan")
        self._plug("server", "eth0", "lan")
        self._plug("pc", "eth0", "lan")
        self._wire("front", "eth1", "back", "eth1")
        self._number(has_nat)

    def down(self):
        for name in list(self.spaces):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=10)
            del self.spaces[name]

    def _plug(self, host, interface, switch):
        port = "to-" + host
        self._wire(host, interface, switch, port)
        self[switch].addresses(f"link set {port} master br0")

    def _wire(self, one, one_interface, other, other_interface):
        self[one].addresses(f"link add name {one_interface} type veth peer name {other_interface} netns {other}")
        for host, interface in ((one, one_interface), (other, other_interface)):
            # One packet a datagram on the wire: what is counted is what a real wire would carry.
            self[host].addresses(f"link set {interface} gso_max_segs 1", f"link set {interface} up")

    def _number(self, has_nat):
        settings = self.settings
        with_v4, with_v6 = settings.ipv6 != "only", settings.ipv6 != "none"
        self["inet"].addresses("address add 203.0.113.1/25 dev br0", "route add blackhole default",
                               "route add 203.0.113.128/25 via 203.0.113.20")
        self["front"].addresses(f"address add {FRONT}/25 dev eth0", f"address add {FRONT_INNER}/30 dev eth1",
                                "route add default via 203.0.113.1")
        self["back"].addresses(f"address add {BACK_OUTER}/30 dev eth1", f"address add {BACK}/24 dev eth0",
                               f"route add default via {FRONT_INNER}")
        for name, address in INSIDE.items():
            self[name].addresses(f"address add {address}/24 dev eth0")
            if settings.egress != "noroute":
                self[name].addresses(f"route add default via {BACK}")
        for name in PHONES:
            if with_v4:
                prefix, gateway = (25, "203.0.113.129") if has_nat else (25, "203.0.113.1")
                address = HIDDEN_PHONES[name] if has_nat else PHONES[name]
                self[name].addresses(f"address add {address}/{prefix} dev eth0", f"route add default via {gateway}")
            if with_v6:
                self[name].addresses(f"address add {PHONES6[name]}/64 dev eth0 nodad")
        if with_v6:
            self["front"].addresses(f"address add {FRONT6}/64 dev eth0 nodad")
        if has_nat:
            self["pnat"].addresses(f"address add {NAT}/25 dev eth0", "address add 203.0.113.129/25 dev br0",
                                   "route add default via 203.0.113.1")
            self["pnat"].set("net.ipv4.ip_forward", 1)
        self["inet"].set("net.ipv4.ip_forward", 1)
        self["back"].set("net.ipv4.ip_forward", 1)
        if settings.kind == "nft":
            self["front"].set("net.ipv4.ip_forward", 1)
