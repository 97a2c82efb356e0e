"""This machine's addresses."""
import socket


def host_ip(target="192.0.2.254"):
    """The IPv4 address outgoing packets have (nothing is sent); loopback where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def has_ipv6():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("fd00::9", 9))
            return not probe.getsockname()[0].startswith(("fe80", "::1"))
        except OSError:
            try:
                probe.connect(("2001:db8::9", 9))
                return True
            except OSError:
                return False
