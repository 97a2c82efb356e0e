import Primitives

extension SendStream {
    /// Answers a Generic NACK (RFC 4585 §6.2.1): each packet still known is sent again, in RTX form where it was
    /// negotiated (RFC 4588 §4).
    /// - Parameter rtt: the round-trip time; 100 ms where it is not known.
    public mutating func retransmit(
        _ nack: GenericNACK, at now: Instant, rtt: TimeDelta?, into packets: inout [OutboundPacket]
    ) {
        guard nack.mediaSSRC == configuration.ssrc else { return }
        statistics.nackCount &+= 1
        let interval = clamp((rtt ?? .milliseconds(100)) * 0.75, .milliseconds(5), .milliseconds(1_000))
        for number in nack.lost.prefix(1_024) {
            // The RTX payload type stands for the media's alone (`apt`): a telephone event cannot be said in it.
            guard let sent = history.again(number, at: now, interval: interval),
                configuration.retransmission == nil || sent.payloadType == configuration.payloadType
            else {
                statistics.retransmissionsRefused &+= 1
                continue
            }
            let packet = again(sent)
            statistics.retransmittedPacketsSent &+= 1
            statistics.retransmittedBytesSent &+= UInt64(packet.payloadBytes)
            packets.append(packet)
        }
    }

    private mutating func again(_ sent: SentPacket) -> OutboundPacket {
        guard let rtx = configuration.retransmission else {
            var packet = packet(sent, template: template(for: sent))
            packet.isRetransmission = true
            mediaPackets &+= 1
            mediaOctets &+= UInt64(packet.payloadBytes)
            count(headerBytes: packet.bytes.count - packet.payloadBytes, payloadBytes: packet.payloadBytes)
            return packet
        }
        let template = templates.retransmission
        let number = takeRetransmissionNumber()
        let length = sent.payloadLength + 2
        var bytes = template.begin(
            sequence: number, timestamp: sent.timestamp, marker: sent.marker, room: length)
        if let offset = template.audioLevelOffset, let level = sent.audioLevel { bytes[offset] = level }
        bytes.append(UInt16(truncatingIfNeeded: sent.sequence))
        template.write(VideoOrientation(rotation: Int(sent.quarterTurns) * 90), into: &bytes)
        if let descriptor = sent.descriptor { bytes.append(descriptor) }
        bytes.append(contentsOf: sent.frame[sent.range])
        count(headerBytes: template.bytes.count, payloadBytes: length)
        return OutboundPacket(
            bytes: bytes, ssrc: rtx.ssrc, sequence: number, payloadBytes: length,
            transportSequenceOffset: template.transportSequenceOffset, sendTimeOffset: template.sendTimeOffset,
            isRetransmission: true, marker: sent.marker)
    }

    private mutating func takeRetransmissionNumber() -> SequenceNumber {
        defer { nextRetransmission += 1 }
        return SequenceNumber(UInt16(truncatingIfNeeded: nextRetransmission))
    }

    /// Packets to probe the path with, at least `bytes` in all: recent packets once more, else padding, both on the
    /// RTX stream. Nothing without RTX or before media, for padding in the media stream would look like its packets.
    public mutating func probe(bytes: Int, at now: Instant, into packets: inout [OutboundPacket]) {
        guard configuration.retransmission != nil, hasSentMedia else { return }
        var rest = Swift.min(bytes, 65_536)
        while rest > 0 {
            var packet: OutboundPacket
            if let sent = history.probe(minimum: 200) { packet = again(sent) } else { packet = padding() }
            packet.isProbe = true
            statistics.probePacketsSent &+= 1
            rest -= packet.bytes.count
            packets.append(packet)
        }
    }

    private mutating func padding() -> OutboundPacket {
        let template = templates.retransmission
        let number = takeRetransmissionNumber()
        let timestamp = RTPTimestamp(UInt32(truncatingIfNeeded: Int64(timestampOffset)))
        var bytes = template.begin(sequence: number, timestamp: timestamp, marker: false, room: 255)
        bytes[0] |= 0x20
        bytes.append(contentsOf: repeatElement(0, count: 254))
        bytes.append(255 as UInt8)
        count(headerBytes: bytes.count, payloadBytes: 0)
        return OutboundPacket(
            bytes: bytes, ssrc: configuration.retransmission?.ssrc ?? configuration.ssrc, sequence: number,
            payloadBytes: 0, transportSequenceOffset: template.transportSequenceOffset,
            sendTimeOffset: template.sendTimeOffset, isRetransmission: true)
    }
}
