import Primitives

/// The header all packets of a stream begin with, made once: a packet is then one copy of it and three numbers.
struct HeaderTemplate: Hashable, Sendable {
    let bytes: [UInt8]
    let transportSequenceOffset: Int?
    let sendTimeOffset: Int?
    let audioLevelOffset: Int?
    let captureTimeOffset: Int?
    let orientationOffset: Int?

    init(
        ssrc: SSRC, payloadType: UInt8, extensions: HeaderExtensionMap, mid: String?, hasAudioLevel: Bool,
        hasCaptureTime: Bool = false, hasOrientation: Bool = false, forcesTwoByte: Bool = false
    ) {
        var elements: [HeaderExtensionElement] = []
        var indices: [HeaderExtension: Int] = [:]
        func add(_ kind: HeaderExtension, _ data: [UInt8]) {
            guard let id = extensions[kind] else { return }
            indices[kind] = elements.count
            elements.append(HeaderExtensionElement(id: id, data: data))
        }
        add(.transportSequenceNumber, [0, 0])
        add(.absoluteSendTime, [0, 0, 0])
        if hasAudioLevel { add(.audioLevel, [127]) }
        if hasCaptureTime { add(.absoluteCaptureTime, Array(repeating: 0, count: 8)) }
        if hasOrientation { add(.videoOrientation, [0]) }
        if let mid, !mid.isEmpty { add(.mid, Array(mid.utf8)) }
        var bytes: [UInt8] = []
        RTPHeader.write(
            marker: false, payloadType: payloadType, sequence: SequenceNumber(0), timestamp: RTPTimestamp(0),
            ssrc: ssrc, hasExtensions: !elements.isEmpty, into: &bytes)
        let ranges = RTPHeaderExtensions.write(elements, forcesTwoByte: forcesTwoByte, into: &bytes)
        self.bytes = bytes
        transportSequenceOffset = indices[.transportSequenceNumber].map { ranges[$0].lowerBound }
        sendTimeOffset = indices[.absoluteSendTime].map { ranges[$0].lowerBound }
        audioLevelOffset = indices[.audioLevel].map { ranges[$0].lowerBound }
        captureTimeOffset = indices[.absoluteCaptureTime].map { ranges[$0].lowerBound }
        orientationOffset = indices[.videoOrientation].map { ranges[$0].lowerBound }
    }

    /// Puts the orientation into a packet that began with this header.
    func write(_ orientation: VideoOrientation, into packet: inout [UInt8]) {
        guard let offset = orientationOffset, offset < packet.count else { return }
        packet[offset] = orientation.byte
    }

    /// Puts the capture time into a packet that began with this header.
    func write(_ captured: NTPTime, into packet: inout [UInt8]) {
        guard let offset = captureTimeOffset else { return }
        packet.overwrite(UInt32(truncatingIfNeeded: captured.rawValue >> 32), at: offset)
        packet.overwrite(UInt32(truncatingIfNeeded: captured.rawValue), at: offset + 4)
    }

    /// A packet with room for `payload` bytes more and the SRTP tag. One allocation.
    func begin(sequence: SequenceNumber, timestamp: RTPTimestamp, marker: Bool, room payload: Int) -> [UInt8] {
        var packet: [UInt8] = []
        packet.reserveCapacity(bytes.count + payload + OutboundPacket.reserve)
        packet.append(contentsOf: bytes)
        if marker { packet[1] |= 0x80 }
        packet.overwrite(sequence.rawValue, at: 2)
        packet.overwrite(timestamp.rawValue, at: 4)
        return packet
    }
}
