import Primitives
import RTP

/// Which m-section an incoming SSRC belongs to (RFC 8843 §9.2): its MID, else what the description said of the SSRC, else
/// a payload type that only one section uses.
struct RoutingTable: Sendable {
    /// Retransmission SSRC → the SSRC it repairs.
    var retransmissions: [SSRC: SSRC] = [:]
    /// SSRCs the other side has given up in an exchange. Packets still under way are nobody's.
    var retired: [SSRC] = []

    /// The oldest is forgotten when there are more.
    private static let maximumRetired = 64

    /// With the stream goes what repairs it: nobody else's packets are to be made of it. Unless it is named still, and
    /// repairs the next one.
    mutating func retire(_ ssrc: SSRC, except named: Set<SSRC> = []) {
        let repairs = retransmissions.filter { $0.value == ssrc }.keys.sorted { $0.rawValue < $1.rawValue }
        for ssrc in [ssrc] + repairs where !named.contains(ssrc) {
            if retired.count >= Self.maximumRetired { retired.removeFirst() }
            retired.append(ssrc)
        }
    }

    mutating func forget(_ ssrc: SSRC) { retransmissions = retransmissions.filter { $0.value != ssrc } }

    func section(
        for header: RTPHeader, packet: [UInt8], in session: NegotiatedSession
    ) -> (NegotiatedMedia, RoutingRule)? {
        if let mid = mid(of: header, packet: packet, in: session) {
            return session.media.first { $0.mid == mid && !$0.isRejected }.map { ($0, .mid) }
        }
        if let section = session.media.first(where: { !$0.isRejected && $0.remoteSSRCs.contains(header.ssrc) }) {
            return (section, .signaledSSRC)
        }
        let takers = session.media.filter {
            !$0.isRejected
                && $0.receivePayloadTypes[header.payloadType] != nil
        }
        return takers.count == 1 ? (takers[0], .payloadType) : nil
    }

    private func mid(of header: RTPHeader, packet: [UInt8], in session: NegotiatedSession) -> String? {
        // All bundled sections share the number of the MID extension (RFC 8843 §15).
        guard let id = session.midExtension.flatMap({ UInt8(exactly: $0) }) else { return nil }
        var ids = HeaderExtensionMap()
        ids[.mid] = id
        return header.text(.mid, ids: ids, in: packet)
    }

    /// The stream a retransmission SSRC repairs: by FID group, by the name of what it repairs (RFC 8852 §3.2), else the
    /// only stream of its section that fits.
    func base(
        ofRetransmission ssrc: SSRC, repairs streamID: String?, in section: NegotiatedMedia,
        receivers: StreamTable<SSRC, ReceiverState>
    ) -> SSRC? {
        if let streamID {
            let named = receivers.keys(where: { $0.mid == section.mid && $0.streamID == streamID })
            if named.count == 1 { return named.first }
        }
        if let base = section.remoteRetransmissionSSRCs.first(where: { $0.value == ssrc })?.key {
            return receivers.contains(base) ? base : nil
        }
        let taken = Set(retransmissions.values)
        let candidates = receivers.keys(where: { $0.mid == section.mid }).filter { !taken.contains($0) }
        return candidates.count == 1 ? candidates.first : nil
    }
}

/// What one received SSRC holds.
struct ReceiverState: Sendable {
    var mid: String
    /// RtpStreamId (RFC 8852): which of several encodings of one source it is.
    var streamID: String?
    var stream: ReceiveStream
    /// Turns a packet of the retransmission stream into the packet it repairs (RFC 4588).
    var retransmissions: RTXUnwrapper

    init(section: NegotiatedMedia, ssrc: SSRC, clockRate: Int) {
        mid = section.mid
        stream = ReceiveStream(ReceiveStreamConfiguration(section, ssrc: ssrc, clockRate: clockRate))
        retransmissions = RTXUnwrapper(mediaSSRC: ssrc, payloadTypes: section.retransmissionTypes)
    }

    /// Takes over the payload types of a renegotiation. Numbers that mean nothing new keep their meaning, since packets
    /// under them are still on their way (RFC 3264 §8.3.2).
    mutating func adopt(_ section: NegotiatedMedia) {
        let new = section.receivePayloadTypes
        let media = stream.configuration.payloadTypes.filter { new[$0.key] == nil }
        let repairs = stream.configuration.retransmissionPayloadTypes.filter { new[$0.key] == nil }
        let types = section.retransmissionTypes.merging(repairs) { new, _ in new }
        stream.adopt(
            payloadTypes: section.codecsByPayloadType.mapValues(\.codec).merging(media) { new, _ in new },
            retransmissionPayloadTypes: types, telephoneEventClockRates: section.telephoneEventClockRates,
            extensions: section.receivedExtensions)
        retransmissions = RTXUnwrapper(mediaSSRC: stream.configuration.ssrc, payloadTypes: types)
    }

    /// What its sender reported.
    var remote = RemoteTransmission()
    /// The extended timestamp of the last frame given out: what a report's 32-bit timestamp is extended by.
    var lastFrameTimestamp: Int64?
    /// A capture time that waits for the next frame.
    var waitingCapture: (ntp: NTPTime, timestamp: Int64)?
    private var waitingReport: SenderReport?
    private var lastQuarterTurns: UInt8 = 0
    private var turnAskedAt: Instant?
    private var awaitsKeyframeToTurn = false
    private var fullIntraCommand: UInt8 = 0

    /// A report's times in the terms of the frames; kept until there is a frame to compare with.
    mutating func place(_ report: SenderReport) -> (ntp: NTPTime, timestamp: Int64)? {
        guard let last = lastFrameTimestamp else {
            waitingReport = report
            return nil
        }
        let distance = report.timestamp.distance(from: RTPTimestamp(UInt32(truncatingIfNeeded: last)))
        return (report.ntp, last + distance)
    }

    mutating func takeWaitingReport() -> (ntp: NTPTime, timestamp: Int64)? {
        guard let report = waitingReport else { return nil }
        waitingReport = nil
        return place(report)
    }

    /// Whether a camera was turned between two keyframes: whoever copies frames can begin to turn them at one only. Asked
    /// for twice a second at most, until one comes.
    mutating func wantsKeyframeToTurn(at frame: EncodedFrame, _ now: Instant) -> Bool {
        if frame.isKeyframe {
            awaitsKeyframeToTurn = false
        } else if frame.quarterTurns != lastQuarterTurns {
            awaitsKeyframeToTurn = true
        }
        lastQuarterTurns = frame.quarterTurns
        guard awaitsKeyframeToTurn, turnAskedAt.map({ now - $0 >= .milliseconds(500) }) ?? true else { return false }
        turnAskedAt = now
        return true
    }

    mutating func nextFullIntraCommand() -> UInt8 {
        fullIntraCommand &+= 1
        return fullIntraCommand
    }
}
