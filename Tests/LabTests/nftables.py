"""Kernel rules: the proxy pair as DNAT and SNAT, the egress policy of the back host, the NAT before the phones."""
import os
import socket
import struct
import sys

from LabTests.topology import BACK_OUTER, HIDDEN_PHONES, INSIDE, SIGNALLING_PORT, STUN_PORT


def apply(namespace, rules):
    namespace.run("nft", "-f", "-", text=rules)


def front(settings):
    """The outer host: published ports go to the back host, from a random port of its own."""
    first, last = (port + settings.offset for port in settings.pool)
    pool = "\n".join(f"        iifname eth0 {protocol} dport {first}-{last} dnat to {BACK_OUTER}" for protocol in _protocols(settings))
    return _proxy(f"""
{pool}
        iifname eth0 udp dport {STUN_PORT} dnat to {BACK_OUTER}
        iifname eth0 tcp dport {{ {SIGNALLING_PORT}, {STUN_PORT} }} dnat to {BACK_OUTER}""", "eth1", settings.loss)


def back(settings):
    """The inner host: the same ports, moved by the offset, go to the inside; from a random port of its own."""
    first, last = (port + settings.offset for port in settings.pool)
    inside = INSIDE[settings.inside]
    if settings.offset:
        ports = ", ".join(f"{port} : {port - settings.offset}" for port in range(first, last + 1))
        pool = "dnat to " + inside + " : {} dport map {{ " + ports + " }}"
    else:
        pool = f"dnat to {inside}"
    rules = "\n".join(f"        iifname eth1 {protocol} dport {first}-{last} {pool.format(protocol)}"
                      for protocol in _protocols(settings))
    return _proxy(f"""
{rules}
        iifname eth1 udp dport {STUN_PORT} dnat to {INSIDE['server']}
        iifname eth1 tcp dport {{ {SIGNALLING_PORT}, {STUN_PORT} }} dnat to {INSIDE['server']}""", "eth0", 0)


def _protocols(settings):
    """Of the pool."""
    return {"udp": ["udp"], "tcp": ["tcp"], "both": ["udp", "tcp"]}[settings.pool_proto]


def _proxy(destinations, onward, loss):
    lossy = f"meta l4proto udp numgen random mod 10000 < {round(loss * 10000)} drop" if loss else ""
    return f"""
table ip proxy {{
    chain incoming {{
        type nat hook prerouting priority dstnat;
        {destinations}
    }}
    chain outgoing {{
        type nat hook postrouting priority srcnat;
        oifname {onward} ct status dnat masquerade fully-random
    }}
    chain passing {{
        type filter hook forward priority filter - 10; policy accept;
        {lossy}
    }}
}}"""


def egress(settings):
    """What meets packets that the inside sends outward on its own. Those of proxied flows are replies and pass."""
    verdict = {"reject": "reject with icmp type host-unreachable", "prohibit": "reject with icmp type admin-prohibited",
               "drop": "drop", "noroute": "reject with icmp type host-unreachable"}[settings.egress]
    return f"""
table ip egress {{
    chain passing {{
        type filter hook forward priority filter; policy accept;
        ct status dnat accept
        iifname eth0 oifname eth1 counter {verdict}
        iifname eth1 counter drop
    }}
}}"""


def outage():
    """All that would be forwarded is lost."""
    return """
table ip outage {
    chain incoming {
        type filter hook prerouting priority raw; policy drop;
    }
}"""


def phone_nat(kind):
    """cone keeps the source port and lets only those in who were sent to; fullcone lets everyone in (to the first phone);
    symmetric takes a random port for each destination."""
    source = "masquerade fully-random" if kind == "symmetric" else "masquerade"
    everyone = f"iifname eth0 udp dport 1024-65535 dnat to {HIDDEN_PHONES['phone']}" if kind == "fullcone" else ""
    return f"""
table ip phones {{
    chain incoming {{
        type nat hook prerouting priority dstnat;
        {everyone}
    }}
    chain outgoing {{
        type nat hook postrouting priority srcnat;
        oifname eth0 {source}
    }}
    chain passing {{
        type filter hook forward priority filter; policy drop;
        iifname br0 accept
        ct state established,related accept
        ct status dnat accept
    }}
}}"""


def forget_mappings():
    """Empties the connection table of the namespace this runs in (nfnetlink: ctnetlink's delete without a filter)."""
    delete, request, acknowledge = (1 << 8) | 2, 1, 4
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    message = struct.pack("=IHHII", 16 + len(body), delete, request | acknowledge, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.bind((0, 0))
        netlink.send(message)
        answer = netlink.recv(4096)
    code = struct.unpack_from("=i", answer, 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code))


if __name__ == "__main__":
    if sys.argv[1:] == ["forget-mappings"]:
        forget_mappings()
