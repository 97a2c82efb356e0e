#!/usr/bin/env python3
"""Writes the fixtures of this folder. Needs aiortc 1.16 (pip install aiortc==1.16.0).

Packets that aiortc can serialise are serialised by it, so that the tests compare with another implementation; the rest
is packed here field by field, after the figures of the RFC or draft named beside it.
"""
import pathlib
from struct import pack

from aiortc.codecs.vpx import VpxPayloadDescriptor
from aiortc.rtp import (
    RtcpByePacket, RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpRtpfbPacket, RtcpSdesPacket, RtcpSenderInfo,
    RtcpSourceInfo, RtcpSrPacket, RtpPacket, pack_header_extensions, pack_remb_fci, wrap_rtx)

HERE = pathlib.Path(__file__).parent


def save(name, data):
    (HERE / (name + ".bin")).write_bytes(bytes(data))


def rtp(extensions=(), csrc=(), padding=0, **fields):
    """An RTP packet; aiortc writes the header, extensions by its own packer."""
    packet = RtpPacket(**{k: v for k, v in fields.items() if k != "payload"})
    packet.csrc = list(csrc)
    packet.payload = fields.get("payload", b"")
    packet.padding_size = padding
    data = packet.serialize()
    if extensions:
        profile, value = pack_header_extensions(list(extensions))
        at = 12 + 4 * len(csrc)
        data = bytes([data[0] | 0x10]) + data[1:at] + pack("!HH", profile, len(value) // 4) + value + data[at:]
    return data


base = dict(payload_type=111, sequence_number=65535, timestamp=4294967295, ssrc=0x12345678)
save("rtp_plain", rtp(payload=b"\x01\x02\x03", **base))
save("rtp_marker_csrc", rtp(marker=1, csrc=[0xAABBCCDD, 1], payload=b"media", **base))
save("rtp_padding", rtp(padding=4, payload=b"media", **base))
save("rtp_only_padding", rtp(padding=224, **base))
save("rtp_one_byte_extensions", rtp(
    extensions=[(3, b"\x12\x34"), (4, b"0"), (1, b"\xFF"), (2, b"\x0A\x0B\x0C")], payload=b"media", **base))
save("rtp_two_byte_extensions", rtp(
    extensions=[(3, b"\x12\x34"), (16, b"a long media section name"), (200, b"")], payload=b"media", **base))
# RFC 8285 4.2: id 15 ends the list; what stands behind it is not an element.
save("rtp_one_byte_extension_id_15", bytes.fromhex("906f0001000000010000000a" "bede0002" "10ff00f0" "20aa0000" "ff"))

original = RtpPacket(payload_type=96, marker=1, sequence_number=1000, timestamp=90000, ssrc=0x11111111)
original.payload = b"\x10original payload"
save("rtx_original", original.serialize())
save("rtx_wrapped", wrap_rtx(original, payload_type=97, sequence_number=7, ssrc=0x22222222).serialize())

block = RtcpReceiverInfo(ssrc=0x0B0B0B0B, fraction_lost=64, packets_lost=-2, highest_sequence=0x0001FFFE, jitter=123,
                         lsr=0x89ABCDEF, dlsr=65536)
save("rtcp_sr", bytes(RtcpSrPacket(
    ssrc=0x0A0A0A0A, sender_info=RtcpSenderInfo(
        ntp_timestamp=0xE1F2030405060708, rtp_timestamp=0xFFFFFFFE, packet_count=4294967295, octet_count=7),
    reports=[block])))
save("rtcp_rr", bytes(RtcpRrPacket(ssrc=0x0A0A0A0A, reports=[block])))
save("rtcp_rr_empty", bytes(RtcpRrPacket(ssrc=0x0A0A0A0A, reports=[])))
name = b"{63f459ea-41fe-4474-9d33-9707c9ee79d1}"
save("rtcp_sdes_one_chunk", bytes(RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=1, items=[(1, name)])])))
# RFC 3550 6.5: each chunk ends on a word (aiortc pads only the last, so this one is packed here).
sdes = (pack("!BBHIBB", 0x82, 202, 16, 1, 1, 38) + name + bytes(4)
        + pack("!IBB", 2, 1, 3) + b"abc" + pack("!BB", 6, 4) + b"tool" + bytes(1))
save("rtcp_sdes", sdes)
save("rtcp_bye", bytes(RtcpByePacket(sources=[0x0A0A0A0A, 5])))
# RFC 3550 6.6: reason "camera malfunction" as in its example of a text.
save("rtcp_bye_reason", pack("!BBHIB", 0x81, 203, 6, 0x0A0A0A0A, 18) + b"camera malfunction" + b"\0")
save("rtcp_app", pack("!BBHI", 0x80 | 5, 204, 3, 0x0A0A0A0A) + b"TEST" + b"data")
save("rtcp_nack", bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=[10, 11, 26, 27, 60])))
# RFC 4585 6.2.1: 65534 with 65535, 0 and 3 in its bitmask, then 40.
save("rtcp_nack_wrap", pack("!BBHIIHHHH", 0x81, 205, 4, 1, 2, 65534, 0b10011, 40, 0))
save("rtcp_pli", bytes(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=2)))
save("rtcp_fir", bytes(RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=pack("!IBxxx", 7, 200))))
save("rtcp_remb", bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(2_500_000, [7, 8]))))
# RFC 5104 4.2.1.1: 17 bits of mantissa, 6 of exponent, 9 of overhead.
save("rtcp_tmmbr", pack("!BBHIIII", 0x83, 205, 4, 1, 0, 7, 3 << 26 | 100_000 << 9 | 40))
# RFC 3611 4.4, 4.5 and a block of statistics (4.6) that is kept as it is.
save("rtcp_xr", pack("!BBHI", 0x80, 207, 16, 1) + pack("!BBHQ", 4, 0, 2, 0xE1F2030405060708)
     + pack("!BBHIII", 5, 0, 3, 9, 0x03040506, 32768) + pack("!BBH", 6, 0xE0, 7) + bytes(range(28)))
# A compound packet as an endpoint sends it, and one with padding on its last packet.
save("rtcp_compound", (HERE / "rtcp_sr.bin").read_bytes() + sdes + (HERE / "rtcp_remb.bin").read_bytes())
save("rtcp_rr_padding", pack("!BBHIBBBB", 0xA0, 201, 2, 1, 0, 0, 0, 4))

# draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1: base 65533, 9 packets, reference -2, count 17.
# Packets: small 4, small 0, lost, large -16, lost, large 300, small 255, lost, small 1.
# One vector of seven two-bit symbols (1 1 0 2 0 2 1), one run of one "lost", one run of one "small".
head = pack("!IIHH", 1, 2, 65533, 9) + ((0x1000000 - 2) << 8 | 17).to_bytes(4, "big")
chunks = pack("!HHH", 0xC000 | 1 << 12 | 1 << 10 | 0 << 8 | 2 << 6 | 0 << 4 | 2 << 2 | 1, 0 << 13 | 1, 1 << 13 | 1)
deltas = pack("!BBhhBB", 4, 0, -16, 300, 255, 1)
body = head + chunks + deltas
body += b"\0\0"[: -len(body) % 4]
save("rtcp_transport_feedback", pack("!BBH", 0x8F, 205, len(body) // 4) + body)

for name, descriptor in {
    "minimal": VpxPayloadDescriptor(partition_start=1, partition_id=0),
    "partition_7": VpxPayloadDescriptor(partition_start=0, partition_id=7),
    "picture_id_15": VpxPayloadDescriptor(partition_start=1, partition_id=0, picture_id=4711),
    "all": VpxPayloadDescriptor(
        partition_start=1, partition_id=0, picture_id=0x7FFF, tl0picidx=200, tid=(2, 1), keyidx=21),
    "layer_only": VpxPayloadDescriptor(partition_start=0, partition_id=1, tid=(3, 0)),
    "key_index_only": VpxPayloadDescriptor(partition_start=0, partition_id=1, keyidx=31),
}.items():
    save("vp8_descriptor_" + name, bytes(descriptor) + b"\x10data")
# RFC 7741 4.2: X, I with a picture id of seven bits.
save("vp8_descriptor_picture_id_7", bytes([0x90, 0x80, 0x11]) + b"\x10data")
