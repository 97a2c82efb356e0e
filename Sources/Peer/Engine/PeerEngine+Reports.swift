import Congestion
import DTLSSRTP
import Primitives
import RTP

/// RTCP out: reports by schedule, feedback at once.
extension PeerEngine {
    /// One compound packet: our sender reports with the report blocks of what we receive, and the CNAME.
    mutating func sendReports(at now: Instant, into out: inout Output) {
        var blocks: [ReportBlock] = []
        for ssrc in receivers.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            if let block = receivers[ssrc]?.stream.receptionReport(at: now) { blocks.append(block) }
        }
        var packets: [RTCPPacket] = []
        for mid in senders.keys.sorted() {
            guard let report = senders[mid]?.stream.senderReport(wallClock: wallClock, at: now) else { continue }
            var report = report
            report.reports = Array(blocks.prefix(31))
            blocks.removeFirst(report.reports.count)
            reports.noteReported(report.ssrc)
            packets.append(.senderReport(report))
        }
        if packets.isEmpty || !blocks.isEmpty {
            packets.append(
                .receiverReport(ReceiverReport(ssrc: reports.feedbackSSRC, reports: Array(blocks.prefix(31)))))
        }
        packets.append(.sourceDescription(reports.sourceDescription(for: senders.values.map(\.stream.ssrc))))
        let bytes = sendRTCP(packets, at: now, into: &out)
        reports.reportSent(bytes: bytes, at: now)
    }

    @discardableResult
    mutating func sendRTCP(_ packets: [RTCPPacket], at now: Instant, into out: inout Output) -> Int {
        guard srtp != nil, ice.sendingPath != nil else { return 0 }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        for packet in packets { packet.write(into: &bytes) }
        let size = bytes.count
        do {
            try srtp?.protectRTCP(&bytes)
        } catch {
            return 0
        }
        _ = transmit(bytes, into: &out)
        return size
    }

    mutating func sendBye(at now: Instant, into out: inout Output) {
        let sources = senders.keys.sorted().compactMap { senders[$0]?.stream.ssrc }
        guard srtp != nil, !sources.isEmpty else { return }
        sendRTCP(
            [
                .receiverReport(ReceiverReport(ssrc: sources[0], reports: [])),
                .sourceDescription(reports.sourceDescription(for: sources)),
                .goodbye(Goodbye(sources: sources, reason: nil)),
            ], at: now, into: &out)
    }

    /// RFC 3611 §4.4, §4.5: whoever sends no media learns the round trip from our answer to its reference time.
    mutating func answer(_ report: ExtendedReport, at now: Instant, into out: inout Output) {
        for case .receiverReferenceTime(let ntp) in report.blocks {
            sendRTCP(
                [
                    .extendedReport(
                        ExtendedReport(
                            ssrc: reports.feedbackSSRC,
                            blocks: [.delaySinceLastReceiverReport([.init(ssrc: report.ssrc, lastReport: ntp.compact, delay: 0)])]))
                ], at: now, into: &out)
        }
    }

    // MARK: Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01)

    mutating func noteTransportSequence(of header: RTPHeader, packet: [UInt8], at now: Instant) {
        guard let id = transportFeedback.extensionID,
            let number = header.transportSequenceNumber(id: id, in: packet)
        else { return }
        transportFeedback.builder.noteArrival(number, media: header.ssrc, at: now)
    }

    mutating func sendTransportFeedback(at now: Instant, into out: inout Output) {
        guard let records = transportFeedback.builder.take(at: now) else { return }
        sendRTCP(
            [
                .transportFeedback(
                    TransportFeedback(
                        sender: reports.feedbackSSRC, media: records.media, feedbackCount: records.count,
                        base: records.base, arrivals: records.arrivals))
            ], at: now, into: &out)
    }

    mutating func apply(_ feedback: TransportFeedback, at now: Instant) {
        bandwidth.receive(arrivals: feedback.arrivalsBySequence, at: now)
    }
}

/// The receiving half of transport-wide congestion control.
struct TransportFeedbackState: Sendable {
    var extensionID: UInt8?
    var builder = TransportFeedbackBuilder()
    var deadline: Instant? { extensionID == nil ? nil : builder.deadline }
}
