import Congestion
import DTLSSRTP
import Primitives
import RTP

/// RTCP out: regular reports by schedule, feedback as soon as RTCP's share of the bandwidth allows.
extension PeerEngine {
    /// Feedback that may wait for a report or for room in RTCP's share; what comes above it is dropped, oldest first.
    static let maximumWaitingFeedback = 64

    mutating func enqueueFeedback(_ packet: RTCPPacket, at now: Instant) {
        if waitingFeedback.count >= Self.maximumWaitingFeedback { waitingFeedback.removeFirst() }
        waitingFeedback.append(packet)
        reports.requestFeedback(at: now)
    }

    /// Sends what the schedule says is due.
    mutating func flushFeedback(at now: Instant, into out: inout Output) {
        guard srtp != nil, let due = reports.deadline, due <= now else { return }
        // Without a path nothing may leave (RFC 7675), and the schedule goes on without it.
        switch reports.advance(to: now) {
        case .regular: sendReports(at: now, into: &out)
        case .early:
            let feedback = waitingFeedback
            waitingFeedback.removeAll(keepingCapacity: true)
            sendRTCP(session?.usesReducedSizeRTCP == true ? feedback : minimalReport() + feedback, at: now, into: &out)
        case nil: break
        }
    }

    /// One compound packet: sender reports with the blocks of what we receive, the CNAME, waiting feedback.
    private mutating func sendReports(at now: Instant, into out: inout Output) {
        if let roundTrip = roundTripTime {
            bandwidth.receive(roundTripTime: roundTrip)
            for ssrc in receivers.keys { receivers[ssrc]?.stream.roundTripTime = roundTrip }
        }
        var blocks: [ReportBlock] = []
        for ssrc in receivers.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            if let block = receivers[ssrc]?.stream.receptionReport(at: now) { blocks.append(block) }
        }
        var packets: [RTCPPacket] = []
        var chunks: [SourceDescription.Chunk] = []
        for mid in senders.keys.sorted() {
            guard var report = senders[mid]?.stream.senderReport(wallClock: wallClock, at: now) else { continue }
            report.reports = Array(blocks.prefix(31))
            blocks.removeFirst(report.reports.count)
            packets.append(.senderReport(report))
            if let chunk = senders[mid]?.stream.sourceDescription { chunks.append(chunk) }
        }
        if packets.isEmpty {
            packets.append(.receiverReport(ReceiverReport(ssrc: feedbackSSRC, reports: Array(blocks.prefix(31)))))
            chunks = SourceDescription(ssrc: feedbackSSRC, cname: negotiator.cname).chunks
            if session?.usesReceiverReferenceTime == true {
                // Whoever sends no media learns the round trip this way (RFC 3611 §4.4).
                let block = receiverClock.reference(wallClock: wallClock, at: now)
                packets.append(.extendedReport(ExtendedReport(ssrc: feedbackSSRC, blocks: [block])))
            }
        }
        packets.append(.sourceDescription(SourceDescription(chunks: chunks)))
        if let answer = receiverClock.answer(at: now) {
            packets.append(.extendedReport(ExtendedReport(ssrc: feedbackSSRC, blocks: [answer])))
        }
        packets += waitingFeedback
        waitingFeedback.removeAll(keepingCapacity: true)
        sendRTCP(packets, at: now, into: &out)
    }

    /// What a compound packet must begin with where reduced size was not agreed (RFC 3550 §6.1).
    private func minimalReport() -> [RTCPPacket] {
        [
            .receiverReport(ReceiverReport(ssrc: feedbackSSRC)),
            .sourceDescription(SourceDescription(ssrc: feedbackSSRC, cname: negotiator.cname)),
        ]
    }

    /// Sends packets as compound datagrams, none of which exceeds the size a media packet may have.
    mutating func sendRTCP(_ packets: [RTCPPacket], at now: Instant, into out: inout Output) {
        var bytes: [UInt8] = []
        for packet in packets {
            let part = RTCPPacket.bytes(of: [packet])
            if !bytes.isEmpty, bytes.count + part.count > Self.maximumRTCPSize {
                sendCompound(&bytes, at: now, into: &out)
            }
            bytes += part
        }
        if !bytes.isEmpty { sendCompound(&bytes, at: now, into: &out) }
    }

    private static let maximumRTCPSize = 1_160

    private mutating func sendCompound(_ bytes: inout [UInt8], at now: Instant, into out: inout Output) {
        defer { bytes.removeAll(keepingCapacity: true) }
        guard let srtp, ice.sendingPath != nil else { return }
        bytes.reserveCapacity(bytes.count + srtp.profile.rtcpOverhead)
        do {
            try srtp.protectRTCP(&bytes)
        } catch {
            return trace(.peer(.outboundFailed(what: "RTCP", reason: "\(error)")), at: now, into: &out)
        }
        reports.noteSent(bytes: bytes.count, at: now)
        _ = transmit(bytes, at: now, into: &out)
    }

    mutating func sendBye(at now: Instant, into out: inout Output) {
        let sources = senders.keys.sorted().compactMap { senders[$0]?.stream.configuration.ssrc }
        guard srtp != nil, !sources.isEmpty else { return }
        sendRTCP(minimalReport() + [.goodbye(Goodbye(sources: sources))], at: now, into: &out)
    }

    // MARK: Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01)

    mutating func noteTransportSequence(of header: RTPHeader, packet: [UInt8], at now: Instant) {
        guard let number = header.transportSequenceNumber(ids: extensions, in: packet) else { return }
        transportFeedback.noteArrival(number, media: header.ssrc, at: now)
    }

    mutating func queueTransportFeedback(at now: Instant) {
        while let report = transportFeedback.take(at: now) {
            let arrivals = report.arrivals.map { TransportArrival(sequence: $0.sequence, at: $0.at) }
            guard
                let made = TransportFeedback.make(
                    senderSSRC: feedbackSSRC, mediaSSRC: report.media, feedbackCount: report.count, base: report.base,
                    arrivals: arrivals[...])
            else { continue }
            enqueueFeedback(.transportFeedback(made.feedback), at: now)
        }
    }

    mutating func apply(_ feedback: TransportFeedback, at now: Instant) {
        var arrivals: [(SequenceNumber, TimeDelta?)] = []
        arrivals.reserveCapacity(feedback.deltas.count)
        feedback.forEachPacket { arrivals.append(($0, $1)) }
        bandwidth.receive(arrivals: arrivals, at: now)
    }
}
