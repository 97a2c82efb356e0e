import Congestion
import DTLSSRTP
import Primitives
import RTP
import SDP

/// Media out: packetise, pace, stamp, protect.
extension PeerEngine {
    /// Sends one frame on a section. Returns why not, where it was not taken; nothing is ever queued without a bound.
    @discardableResult
    public mutating func send(
        _ frame: EncodedFrame, mid: String, at now: Instant, into out: inout Output
    ) -> DropReason? {
        let position = senders.position(of: mid)
        guard let position, refusal(of: position, frame.codec) == nil else {
            let reason = refusal(of: position, frame.codec) ?? .directionInactive
            trace(.peer(.frameRefused(mid: mid, reason: reason)), at: now, into: &out)
            return reason
        }
        guard pacer.hasRoom else {
            senders[at: position].framesDropped += 1
            trace(.peer(.frameRefused(mid: mid, reason: .queueFull)), at: now, into: &out)
            return .queueFull
        }
        packetScratch.removeAll(keepingCapacity: true)
        let captured = wallClock.ntp(at: frame.captured ?? now)
        senders[at: position].stream.packetize(frame, captured: captured, at: now, into: &packetScratch)
        note(frame.codec.kind == .video ? .firstVideoFrameSent : .firstAudioFrameSent, at: now, into: &out)
        let priority: PacerPriority = frame.codec.kind == .video ? .video : .audio
        for packet in packetScratch {
            pacer.enqueue(
                PacedPacket(packet: packet), bytes: packet.bytes.count, priority: priority, at: now)
        }
        packetScratch.removeAll(keepingCapacity: true)  // the queue is the only owner of the bytes
        releasePaced(at: now, into: &out)
        // The first sender report leaves with the first media, so that the other side can synchronise at once.
        reports.noteMediaSent(at: now)
        if senders[at: position].noteFirstFrame() { reports.reportSoon(at: now) }
        flushFeedback(at: now, into: &out)
        return nil
    }

    private func refusal(of position: Int?, _ codec: Codec) -> DropReason? {
        if isClosed || srtp == nil || connectionState == .closed { return .notConnected }
        guard let position, senders[at: position].isActive else { return .directionInactive }
        // Another codec's bytes under the agreed payload type would be noise at the far end.
        if senders[at: position].stream.configuration.codec != codec { return .codecNotAgreed }
        return ice.sendingPath == nil ? .noConsent : nil
    }

    mutating func retransmit(_ nack: GenericNACK, at now: Instant, into out: inout Output) {
        guard let position = senders.firstPosition(where: { $0.ssrc == nack.mediaSSRC }) else { return }
        packetScratch.removeAll(keepingCapacity: true)
        let roundTrip = roundTripTime
        senders[at: position].stream.retransmit(nack, at: now, rtt: roundTrip, into: &packetScratch)
        for packet in packetScratch {
            pacer.enqueue(
                PacedPacket(packet: packet), bytes: packet.bytes.count, priority: .retransmission, at: now)
        }
        packetScratch.removeAll(keepingCapacity: true)
    }

    /// What the pacer lets go leaves in one batch, so that it can be one system call.
    mutating func releasePaced(at now: Instant, into out: inout Output) {
        // A probe needs padding to keep its rate; without a retransmission stream there is none to be had.
        while let probe = bandwidth.takeProbe() {
            if probeSender != nil { pacer.start(probe) }
        }
        // What one release lets go belongs to one probe or to none, so there may be more to let go at this instant.
        for _ in 0..<Self.maximumReleases {
            addProbePadding(at: now)
            pacer.release(at: now, into: &pacedScratch)
            departReleased(at: now, into: &out)
            guard let due = pacer.deadline, due <= now else { return }
        }
    }

    private static let maximumReleases = 16

    /// The sender whose retransmission stream carries padding.
    private var probeSender: Int? { senders.firstPosition { $0.isActive && !$0.repeatsPlainly } }

    private mutating func departReleased(at now: Instant, into out: inout Output) {
        guard !pacedScratch.isEmpty else { return }
        // Moved out while it is walked, so that each packet's bytes have one owner and are protected in place.
        var leaving: [PacedPacket] = []
        swap(&leaving, &pacedScratch)
        for index in leaving.indices { depart(&leaving[index].packet, at: now, into: &out) }
        leaving.removeAll(keepingCapacity: true)
        swap(&leaving, &pacedScratch)
    }

    /// Where media alone does not fill a probe for bandwidth, old packets are sent again on a retransmission stream.
    private mutating func addProbePadding(at now: Instant) {
        let needed = pacer.paddingNeeded(at: now)
        guard needed > 0, let position = probeSender else { return }
        packetScratch.removeAll(keepingCapacity: true)
        senders[at: position].stream.probe(bytes: needed, at: now, into: &packetScratch)
        for packet in packetScratch {
            pacer.enqueue(PacedPacket(packet: packet), bytes: packet.bytes.count, priority: .padding, at: now)
        }
        packetScratch.removeAll(keepingCapacity: true)
    }

    private mutating func depart(_ packet: inout OutboundPacket, at now: Instant, into out: inout Output) {
        if packet.isRetransmission, let position = plainSender(of: packet.ssrc) {
            // The same SRTP index with other contents (a newer stamp) would use a key and nonce twice (RFC 7714 §8.1), so
            // what leaves is what left the first time, bit for bit.
            guard let sent = senders[at: position].sentPackets[packet.sequence] else { return }
            _ = transmit(sent, at: now, into: &out)
            return
        }
        if packet.transportSequenceOffset != nil {
            let number = bandwidth.stamp(bytes: packet.bytes.count, probe: pacer.releasedProbe, at: now)
            packet.stamp(transportSequence: number, at: now)
        } else {
            packet.stamp(transportSequence: SequenceNumber(0), at: now)
            bandwidth.noteSent(bytes: packet.bytes.count, at: now)
        }
        do {
            try srtp?.protectRTP(&packet.bytes)
        } catch {
            return trace(.peer(.outboundFailed(what: "RTP", reason: "\(error)")), at: now, into: &out)
        }
        var bytes: [UInt8] = []
        swap(&bytes, &packet.bytes)
        if !packet.isRetransmission, let position = plainSender(of: packet.ssrc) {
            senders[at: position].sentPackets.note(bytes, sequence: packet.sequence)
        }
        if transmit(bytes, at: now, into: &out) { note(.firstRTPSent, at: now, into: &out) }
    }

    private func plainSender(of ssrc: SSRC) -> Int? {
        senders.firstPosition { $0.ssrc == ssrc && $0.repeatsPlainly }
    }

    mutating func publishTargetBitrate(into out: inout Output) {
        let target = bandwidth.targetBitrate
        guard target != lastTargetBitrate else { return }
        // Encoders need not hear of every ripple: 2 % either way is silence.
        if let last = lastTargetBitrate, abs(target - last) * 50 < last { return }
        lastTargetBitrate = target
        pacer.setRate(bitsPerSecond: target)
        out.events.append(.targetBitrate(target))
    }
}

/// A packet in the pacer's queue.
struct PacedPacket: Sendable {
    var packet: OutboundPacket
}

/// What one m-section sends.
struct SenderState: Sendable {
    var stream: SendStream
    var isActive = true
    var framesDropped = 0
    /// Protected packets of a stream without RTX, for plain retransmission.
    var sentPackets = SentPacketRing()
    private var lastKeyframe: Instant?
    private var hasSent = false
    let ssrc: SSRC
    let kind: MediaKind
    /// Whether packets are repeated plainly, under their own SSRC, because RTX was not agreed.
    private(set) var repeatsPlainly: Bool

    init(stream: SendStream) {
        self.stream = stream
        ssrc = stream.configuration.ssrc
        kind = stream.configuration.codec.kind
        repeatsPlainly = stream.configuration.retransmission == nil
    }

    /// Takes over what a renegotiation changed.
    mutating func adopt(_ settings: SendStreamConfiguration) {
        stream.adopt(settings)
        repeatsPlainly = settings.retransmission == nil
    }

    /// Whether this frame is the first.
    mutating func noteFirstFrame() -> Bool {
        defer { hasSent = true }
        return !hasSent
    }

    /// Keyframes are dear: requests closer than 300 ms to the last granted one are counted and not passed on; whoever
    /// still misses one asks again.
    mutating func grantsKeyframe(at now: Instant) -> Bool {
        if let last = lastKeyframe, now - last < .milliseconds(300) { return false }
        lastKeyframe = now
        return true
    }
}

/// The last protected packets of one stream, by sequence number. Older ones are overwritten.
struct SentPacketRing: Sendable {
    private static let capacity = 512
    private var packets: [(sequence: SequenceNumber, bytes: [UInt8])] = []

    mutating func note(_ bytes: [UInt8], sequence: SequenceNumber) {
        if packets.isEmpty { packets = Array(repeating: (sequence, []), count: Self.capacity) }
        packets[Int(sequence.rawValue) % Self.capacity] = (sequence, bytes)
    }

    subscript(sequence: SequenceNumber) -> [UInt8]? {
        guard !packets.isEmpty else { return nil }
        let entry = packets[Int(sequence.rawValue) % Self.capacity]
        return entry.sequence == sequence && !entry.bytes.isEmpty ? entry.bytes : nil
    }
}
