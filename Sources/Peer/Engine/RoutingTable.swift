import Primitives
import RTP

/// Which m-section an incoming SSRC belongs to (RFC 8843 §9.2): its MID, else what the description said of the SSRC, else
/// a payload type that only one section uses.
struct RoutingTable: Sendable {
    /// Retransmission SSRC → the SSRC it repairs.
    var retransmissions: [SSRC: SSRC] = [:]

    func section(
        for header: RTPHeader, packet: [UInt8], in session: NegotiatedSession
    ) -> (NegotiatedMedia, RoutingRule)? {
        if let mid = mid(of: header, packet: packet, in: session) {
            return session.sections.first { $0.mid == mid && !$0.isRejected }.map { ($0, .mid) }
        }
        if let section = session.sections.first(where: { !$0.isRejected && $0.remoteSSRCs.contains(header.ssrc.rawValue) }) {
            return (section, .signaledSSRC)
        }
        let takers = session.sections.filter {
            !$0.isRejected
                && ($0.format(of: header.payloadType) != nil
                    || $0.retransmissionTypes[header.payloadType] != nil)
        }
        return takers.count == 1 ? (takers[0], .payloadType) : nil
    }

    private func mid(of header: RTPHeader, packet: [UInt8], in session: NegotiatedSession) -> String? {
        // All bundled sections share the identifier of the MID extension (RFC 8843 §9.2, RFC 8285 §6).
        for section in session.sections where !section.isRejected {
            guard let id = section.extensionID(.mid) else { continue }
            if let mid = header.mid(id: id, in: packet) { return mid }
        }
        return nil
    }

    /// The stream a retransmission SSRC repairs: by FID group, else the only stream of its section that fits.
    func base(
        ofRetransmission ssrc: SSRC, apt: UInt8, in section: NegotiatedMedia, receivers: [SSRC: ReceiverState]
    ) -> SSRC? {
        if let base = section.flowIdentifications.first(where: { $0.retransmission == ssrc.rawValue })?.media {
            return receivers[SSRC(base)] == nil ? nil : SSRC(base)
        }
        let taken = Set(retransmissions.values)
        let candidates = receivers.filter { $0.value.mid == section.mid && !taken.contains($0.key) }
        return candidates.count == 1 ? candidates.first?.key : nil
    }
}

/// What one received SSRC holds.
struct ReceiverState: Sendable {
    var mid: String
    var stream: ReceiveStream
    /// Retransmission payload type → the payload type it repairs (RFC 4588 `apt`).
    var retransmissionTypes: [UInt8: UInt8]

    /// Turns an RTX packet into the packet it repairs, in place. `false` for padding and for what is no such packet.
    func unwrapRetransmission(header: RTPHeader, packet: inout [UInt8]) -> Bool {
        guard let apt = retransmissionTypes[header.payloadType] else { return false }
        return RTXUnwrapper.unwrap(&packet, header: header, payloadType: apt, ssrc: stream.ssrc)
    }
}
