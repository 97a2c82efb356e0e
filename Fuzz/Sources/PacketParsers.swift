import DTLSSRTP
import ICE
import PeerIO
import Primitives

@testable import RTP

func fuzzSTUN(_ bytes: [UInt8]) {
    guard let message = try? STUNMessage(parsing: bytes) else { return }
    let key = MessageIntegrityKey(password: "VOkJxbRl1RmTxUk/WvJxBt")
    _ = (message.isIntact(under: key), message.fingerprint, message.unknownRequiredTypes, message.mappedAddress)
    _ = (message.username, message.priority, message.errorCode, message.alternateServer, message.useCandidate)
    let written = message.encoded(integrity: key)
    let again = try? STUNMessage(parsing: written)
    precondition(again?.transactionID == message.transactionID && again?.attributes.count == message.attributes.count)
    precondition(again?.isIntact(under: key) == true && again?.fingerprint == .matches)
}

/// A TCP connection of ICE: cut into frames (RFC 4571) as it comes in pieces, and told apart by its first one.
func fuzzFrames(_ bytes: [UInt8]) {
    var reception = ConnectionReception()
    let member = reception.join()
    if let member { reception.setUfrags(["call"], of: member) }
    guard let guest = reception.accept(at: .zero).connection else { return }
    var cutter = FrameCutter(limit: 2_048)
    do {
        for record in Records(bytes) {
            try cutter.append(record.bytes)
            while let frame = try cutter.next() {
                precondition((1...2_048).contains(frame.count))
                var written: [UInt8] = []
                precondition(FrameCutter.append(frame, to: &written) && written.count == frame.count + 2)
                guard reception.receive(frame, on: guest) == member.map({ .member($0) }) else {
                    return precondition(reception.count == 0)
                }
            }
            precondition(cutter.bufferedBytes < 2_050)
        }
    } catch {}
}

/// Datagrams and pauses for a TURN client, whose transactions repeat; the same bytes as a stream.
func fuzzTURN(_ bytes: [UInt8]) {
    var client = TURNAllocation(
        configuration: .init(credential: TURNCredential(username: "user", password: "password")), random: .seeded(1))
    var now = Instant.zero
    var out = TURNOutput()
    client.start(at: now, into: &out)
    client.bindChannel(to: TransportAddress(.loopbackV4, 9), at: now, into: &out)
    for record in Records(bytes) {
        now = now + record.after
        client.receive(record.bytes, at: now, into: &out)
        client.advance(to: now, into: &out)
        precondition(client.deadline.map { $0 > now } ?? true)
        precondition(out.messages.count <= 64)
        out.removeAll()
    }
    var framing = TURNStreamFraming()
    do {
        try framing.append(bytes)
        while let message = try framing.next() { precondition(message.count >= 4) }
    } catch {}
}

/// What is written of a message says the same again, but for the names no label can hold.
func fuzzMulticastDNS(_ bytes: [UInt8]) {
    guard let message = try? MulticastDNSMessage(parsing: bytes) else { return }
    precondition(message.questions.count <= MulticastDNSMessage.maximumRecords)
    precondition(message.addresses.count <= MulticastDNSMessage.maximumRecords)
    guard let again = try? MulticastDNSMessage(parsing: message.bytes) else { return }
    precondition(again.isResponse == message.isResponse)
}

func fuzzRTP(_ bytes: [UInt8]) {
    guard let header = try? RTPHeader(parsing: bytes) else { return }
    precondition(header.payloadRange.upperBound + header.paddingLength == bytes.count)
    precondition(RTPHeader.ssrc(of: bytes) == header.ssrc)
    precondition(header.contributingSources(in: bytes).count == header.csrcCount)
    header.extensions.forEach(in: bytes) { _, range in
        precondition(range.lowerBound >= RTPHeader.fixedLength && range.upperBound <= header.headerLength)
    }
    var ids = HeaderExtensionMap()
    for (index, kind) in HeaderExtension.allCases.enumerated() { ids[kind] = UInt8(index + 1) }
    _ = header.text(.mid, ids: ids, in: bytes)
    _ = header.transportSequenceNumber(ids: ids, in: bytes)
    _ = header.audioLevel(ids: ids, in: bytes)
    _ = header.absoluteSendTime(ids: ids, in: bytes)
    _ = header.videoOrientation(ids: ids, in: bytes)
    _ = header.playoutDelay(ids: ids, in: bytes)
    _ = header.absoluteCaptureTime(ids: ids, in: bytes)
    var repaired = header
    var packet = bytes
    let unwrapper = RTXUnwrapper(mediaSSRC: SSRC(7), payloadTypes: [header.payloadType: 96])
    if unwrapper.unwrap(&repaired, &packet) {
        let again = try? RTPHeader(parsing: packet)
        precondition(again == repaired, "the unwrapped packet says something else")
    }
}

/// What is written of parsed packets can be read, and then stays the same.
func fuzzRTCP(_ bytes: [UInt8]) {
    guard let packets = try? RTCPPacket.parseCompound(bytes) else { return }
    for case .transportFeedback(let feedback) in packets { feedback.forEachPacket { _, _ in } }
    let written = RTCPPacket.bytes(of: packets)
    guard let again = try? RTCPPacket.parseCompound(written) else {
        preconditionFailure("written RTCP cannot be read")
    }
    precondition(RTCPPacket.bytes(of: again) == written, "RTCP written twice differs")
}

func fuzzVP8(_ bytes: [UInt8]) {
    var data = 0..<0
    guard let descriptor = try? VP8PayloadDescriptor(parsing: bytes, in: 0..<bytes.count, dataRange: &data) else {
        return
    }
    precondition(!data.isEmpty && data.upperBound == bytes.count)
    _ = VP8FrameHeader(parsing: bytes, in: data)
    var written: [UInt8] = []
    descriptor.write(into: &written)
    written.append(0 as UInt8)
    var again = 0..<0
    precondition((try? VP8PayloadDescriptor(parsing: written, in: 0..<written.count, dataRange: &again)) != nil)
}

func fuzzOpus(_ bytes: [UInt8]) {
    if let duration = OpusPayloadFormat.duration(of: bytes) { precondition((120...5_760).contains(duration)) }
    _ = OpusPayloadFormat.isDiscontinuous(bytes)
}

func fuzzTelephoneEvent(_ bytes: [UInt8]) {
    var receiver = TelephoneEventReceiver()
    var timestamp: Int64 = 0
    for start in stride(from: 0, to: bytes.count, by: 5) {
        timestamp += Int64(bytes[start]) - 64
        guard let event = try? TelephoneEvent(parsing: bytes, in: start..<Swift.min(start + 5, bytes.count)) else {
            continue
        }
        _ = receiver.receive(event, timestamp: timestamp)
        _ = TelephoneEvent.digit(of: event.event)
    }
}

/// The first byte chooses the profile and RTP or RTCP. Keys are fixed, so that the seeds pass, the first time.
func fuzzSRTP(_ bytes: [UInt8]) {
    guard let choice = bytes.first, let session = srtpSessions[Int(choice >> 1) % 3] else { return }
    var packet = Array(bytes.dropFirst())
    var outbound = packet
    if choice & 1 == 0 {
        try? session.unprotectRTP(&packet)
        try? session.protectRTP(&outbound)
    } else {
        try? session.unprotectRTCP(&packet)
        try? session.protectRTCP(&outbound)
    }
}

private let srtpSessions = SRTPProfile.allCases.map { srtpSession($0, as: .server) }

func srtpSession(_ profile: SRTPProfile, as role: DTLSRole) -> SRTPSession? {
    let length = SRTPKeyingMaterial.exportedLength(of: profile)
    let exported = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
    return SRTPKeyingMaterial(profile: profile, exported: exported).flatMap {
        try? SRTPSession(keying: $0, localRole: role)
    }
}
