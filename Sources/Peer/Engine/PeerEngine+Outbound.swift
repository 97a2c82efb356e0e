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
        if let reason = refusal(of: mid) {
            trace(.peer(.frameRefused(mid: mid, reason: reason)), at: now, into: &out)
            return reason
        }
        guard pacer.hasRoom else {
            senders[mid]?.framesDropped += 1
            trace(.peer(.frameRefused(mid: mid, reason: .queueFull)), at: now, into: &out)
            return .queueFull
        }
        packetScratch.removeAll(keepingCapacity: true)
        senders[mid]?.stream.packetize(frame, at: now, into: &packetScratch)
        note(frame.codec.kind == .video ? .firstVideoFrameSent : .firstAudioFrameSent, at: now, into: &out)
        let priority: PacerPriority = frame.codec.kind == .video ? .video : .audio
        for packet in packetScratch {
            pacer.enqueue(
                PacedPacket(packet: packet), bytes: packet.bytes.count, priority: priority, at: now)
        }
        releasePaced(at: now, into: &out)
        if let ssrc = senders[mid]?.stream.ssrc, reports.wantsFirstReport(for: ssrc) {
            // The first sender report leaves with the first media, so that the other side can synchronise at once.
            sendReports(at: now, into: &out)
        }
        return nil
    }

    private func refusal(of mid: String) -> DropReason? {
        if isClosed || srtp == nil { return .notConnected }
        guard let sender = senders[mid] else { return .directionInactive }
        if !sender.isActive { return .directionInactive }
        return ice.sendingPath == nil ? .noConsent : nil
    }

    mutating func retransmit(_ nack: GenericNACK, at now: Instant, into out: inout Output) {
        guard let mid = senders.first(where: { $0.value.stream.ssrc == nack.media })?.key else { return }
        packetScratch.removeAll(keepingCapacity: true)
        senders[mid]?.stream.retransmit(nack, at: now, into: &packetScratch)
        for packet in packetScratch {
            pacer.enqueue(
                PacedPacket(packet: packet), bytes: packet.bytes.count, priority: .retransmission, at: now)
        }
    }

    /// What the pacer lets go leaves in one batch, so that it can be one system call.
    mutating func releasePaced(at now: Instant, into out: inout Output) {
        pacedScratch.removeAll(keepingCapacity: true)
        pacer.release(at: now, into: &pacedScratch)
        for index in pacedScratch.indices { depart(&pacedScratch[index].packet, at: now, into: &out) }
        pacedScratch.removeAll(keepingCapacity: true)
    }

    private mutating func depart(_ packet: inout OutboundPacket, at now: Instant, into out: inout Output) {
        if let offset = packet.transportSequenceOffset {
            let number = bandwidth.history.noteSent(bytes: packet.bytes.count, at: now)
            packet.bytes.overwrite(number.rawValue, at: offset)
        }
        do {
            try srtp?.protectRTP(&packet.bytes)
        } catch {
            return  // a sender's own packet that cannot be protected is a bug in the sender, not in the network
        }
        if transmit(packet.bytes, into: &out) { note(.firstRTPSent, at: now, into: &out) }
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
    private var lastKeyframeRequest: Instant?
    private var lastFIRSequence: UInt8?

    init(stream: SendStream) { self.stream = stream }

    /// Keyframes are dear: requests closer than 300 ms to the last granted one are counted and not passed on. A repeated
    /// FIR has the same sequence number and is not a new request (RFC 5104 §4.3.1.2).
    mutating func acceptKeyframeRequest(isFIR: Bool, sequence: UInt8, at now: Instant) -> Bool {
        stream.noteKeyframeRequest(isFIR: isFIR)
        if isFIR {
            guard lastFIRSequence != sequence else { return false }
            lastFIRSequence = sequence
        }
        if let last = lastKeyframeRequest, now - last < .milliseconds(300) { return false }
        lastKeyframeRequest = now
        return true
    }
}
