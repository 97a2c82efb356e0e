"""STUN as far as a scripted peer needs it (RFC 8489, 8445): messages with integrity and fingerprint, made and read."""
import hashlib
import hmac
import os
import socket
import struct
import zlib

COOKIE = 0x2112A442
REQUEST, RESPONSE, ERROR, INDICATION = 0x0001, 0x0101, 0x0111, 0x0011
USERNAME, INTEGRITY, ERROR_CODE, MAPPED = 0x0006, 0x0008, 0x0009, 0x0020
PRIORITY, USE_CANDIDATE, FINGERPRINT, CONTROLLED, CONTROLLING = 0x0024, 0x0025, 0x8028, 0x8029, 0x802A


def message(kind, transaction, attributes, password=None):
    """`attributes`: (type, value) pairs. With a password it is signed; it always has a fingerprint."""
    body = b""
    for number, value in attributes:
        body += struct.pack("!HH", number, len(value)) + value + b"\0" * (-len(value) % 4)

    def head(more):
        return struct.pack("!HHI", kind, len(body) + more, COOKIE) + transaction
    if password is not None:
        digest = hmac.new(password.encode(), head(24) + body, hashlib.sha1).digest()
        body += struct.pack("!HH", INTEGRITY, 20) + digest
    checksum = zlib.crc32(head(8) + body) ^ 0x5354554E
    body += struct.pack("!HHI", FINGERPRINT, 4, checksum)
    return head(0) + body


def parsed(data):
    """(kind, transaction, {type: value}); None where it is not STUN."""
    if len(data) < 20 or data[0] > 3 or struct.unpack_from("!I", data, 4)[0] != COOKIE:
        return None
    kind, length = struct.unpack_from("!HH", data)
    attributes, place = {}, 20
    while place + 4 <= min(len(data), 20 + length):
        number, size = struct.unpack_from("!HH", data, place)
        attributes.setdefault(number, data[place + 4:place + 4 + size])
        place += 4 + size + (-size % 4)
    return kind, data[8:20], attributes


def is_signed_with(data, password):
    place = 20
    while place + 4 <= len(data):
        number, size = struct.unpack_from("!HH", data, place)
        if number == INTEGRITY:
            head = data[:2] + struct.pack("!H", place + 24 - 20) + data[4:place]
            return hmac.compare_digest(hmac.new(password.encode(), head, hashlib.sha1).digest(),
                                       data[place + 4:place + 24])
        place += 4 + size + (-size % 4)
    return False


def request(remote, local, password, controlling=True, nominate=False, tie_breaker=None, priority=0x6E0001FF):
    """A check: `remote` and `local` are ufrags, the password is the remote's. (bytes, transaction)"""
    transaction = os.urandom(12)
    attributes = [(USERNAME, f"{remote}:{local}".encode()), (PRIORITY, struct.pack("!I", priority)),
                  (CONTROLLING if controlling else CONTROLLED, tie_breaker or os.urandom(8))]
    if nominate:
        attributes.append((USE_CANDIDATE, b""))
    return message(REQUEST, transaction, attributes, password), transaction


def response(transaction, address, password, mapped=True):
    """The answer to a check from an IPv4 `address`."""
    attributes = []
    if mapped:
        host = struct.unpack("!I", socket.inet_aton(address[0]))[0] ^ COOKIE
        attributes.append((MAPPED, struct.pack("!BBHI", 0, 1, address[1] ^ (COOKIE >> 16), host)))
    return message(RESPONSE, transaction, attributes, password)


def role_conflict(transaction, password):
    return message(ERROR, transaction, [(ERROR_CODE, struct.pack("!HBB", 0, 4, 87) + b"Role Conflict")], password)
