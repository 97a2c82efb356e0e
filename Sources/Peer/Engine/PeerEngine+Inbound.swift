import Congestion
import DTLSSRTP
import Primitives
import RTP
import SDP

/// Media in: decrypt, find the stream, feed its jitter buffer.
extension PeerEngine {
    mutating func receiveRTP(_ datagram: inout Datagram, at now: Instant, into out: inout Output) {
        guard srtp != nil else {
            keepEarly(datagram, .rtp, at: now, into: &out)
            return
        }
        var packet: [UInt8] = []
        swap(&packet, &datagram.bytes)
        do {
            try srtp?.unprotectRTP(&packet)
        } catch {
            drop(datagram, .rtp, DropReason(error), at: now, into: &out)
            return
        }
        note(.firstRTPReceived, at: now, into: &out)
        noteAuthenticatedTraffic(on: datagram.path, at: now, into: &out)
        guard var header = try? RTPHeader(parsing: packet) else {
            drop(datagram, .rtp, .malformed, at: now, into: &out)
            return
        }
        noteTransportSequence(of: header, packet: packet, at: now)
        reports.noteMediaReceived(at: now)
        guard let route = route(header, packet: packet, at: now, into: &out) else { return }
        var isRetransmission = false
        if case .retransmission(let base) = route {
            // Padding on the retransmission stream (a probe for bandwidth) is no packet of the media.
            guard let position = receivers.position(of: base),
                receivers[at: position].retransmissions.unwrap(&header, &packet)
            else { return }
            isRetransmission = true
        }
        guard let position = receivers.position(of: header.ssrc) else { return }
        receivers[at: position].stream.receive(
            header, packet: packet, at: now, isRetransmission: isRetransmission, into: &receiveOutput)
        drainReceiveStream(at: position, now: now, into: &out)
    }

    /// Media that the keys prove, from a path ICE does not know: the other side may have moved. The path is checked, never
    /// followed on data alone.
    private mutating func noteAuthenticatedTraffic(on path: NetworkPath, at now: Instant, into out: inout Output) {
        guard path != ice.sendingPath, !ice.isValidated(path) else { return }
        ice.noteTraffic(on: path, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    // MARK: Routing (RFC 8843 §9.2)

    enum Route {
        case stream(SSRC)
        case retransmission(of: SSRC)
    }

    private mutating func route(
        _ header: RTPHeader, packet: [UInt8], at now: Instant, into out: inout Output
    ) -> Route? {
        if receivers.contains(header.ssrc) { return .stream(header.ssrc) }
        if let base = routes.retransmissions[header.ssrc], receivers.contains(base) { return .retransmission(of: base) }
        return createRoute(header, packet: packet, at: now, into: &out)
    }

    /// The first packet of an SSRC decides where it belongs: MID, then what the description said, then payload type.
    private mutating func createRoute(
        _ header: RTPHeader, packet: [UInt8], at now: Instant, into out: inout Output
    ) -> Route? {
        guard let session else { return nil }
        guard !routes.retired.contains(header.ssrc) else {
            counters.packetsDropped += 1
            return nil
        }
        func refuse(_ reason: String) {
            out.trace.append(
                TraceEvent(
                    time: now,
                    detail: .peer(
                        .streamRefused(ssrc: header.ssrc, payloadType: header.payloadType, reason: reason))))
        }
        guard let (section, rule) = routes.section(for: header, packet: packet, in: session) else {
            counters.packetsDropped += 1
            refuse("no m-section takes it by MID, SSRC or payload type")
            return nil
        }
        guard section.receives else {
            counters.packetsDropped += 1
            refuse("section \(section.mid) does not receive")
            return nil
        }
        guard receivers.count + routes.retransmissions.count < configuration.limits.receiveStreams else {
            counters.packetsDropped += 1
            refuse("\(configuration.limits.receiveStreams) streams are the limit")
            return nil
        }
        if section.retransmissionTypes[header.payloadType] != nil {
            let repaired = header.text(.repairedStreamID, ids: section.receivedExtensions, in: packet)
            guard
                let base = routes.base(
                    ofRetransmission: header.ssrc, repairs: repaired, in: section, receivers: receivers)
            else {
                counters.packetsDropped += 1
                refuse("a retransmission whose own stream is not known yet")
                return nil
            }
            routes.retransmissions[header.ssrc] = base
            return .retransmission(of: base)
        }
        guard let codec = section.codecsByPayloadType[header.payloadType] else {
            counters.packetsDropped += 1
            refuse("payload type \(header.payloadType) was not agreed for section \(section.mid)")
            return nil
        }
        let inSection = receivers.keys(where: { $0.mid == section.mid }).count
        guard inSection < configuration.limits.receiveStreamsPerSection else {
            counters.packetsDropped += 1
            refuse("\(inSection) streams in section \(section.mid) are the limit")
            return nil
        }
        receivers[header.ssrc] = ReceiverState(section: section, ssrc: header.ssrc, clockRate: Int(codec.clockRate))
        receivers[header.ssrc]?.streamID = header.text(.streamID, ids: section.receivedExtensions, in: packet)
        if let roundTrip = roundTripTime { receivers[header.ssrc]?.stream.roundTripTime = roundTrip }
        if let report = orphanReports.removeValue(forKey: header.ssrc) { take(report, at: now, into: &out) }
        trace(
            .peer(.streamCreated(ssrc: header.ssrc, mid: section.mid, routedBy: rule)), at: now, into: &out)
        return .stream(header.ssrc)
    }

    // MARK: What a stream gives out

    mutating func drainReceiveStream(at position: Int, now: Instant, into out: inout Output) {
        guard !receiveOutput.isEmpty else { return }
        let ssrc = receivers.keys[position]
        let mid = receivers[at: position].mid
        for entry in receiveOutput.trace { trace(.rtp(entry, ssrc), at: now, into: &out) }
        for event in receiveOutput.events {
            switch event {
            case .frame(let frame):
                note(
                    frame.codec.kind == .video ? .firstVideoFrameReceived : .firstAudioFrameReceived, at: now,
                    into: &out)
                receivers[at: position].lastFrameTimestamp = frame.timestamp
                guard let placed = place(frame, from: position, at: now) else { continue }
                out.events.append(.frame(placed, mid: mid))
                if let report = receivers[at: position].takeWaitingReport() {
                    tellReport(report, of: ssrc, mid: mid, into: &out)
                }
            case .sendNACK(let lost):
                enqueueFeedback(
                    .genericNACK(GenericNACK(senderSSRC: feedbackSSRC, mediaSSRC: ssrc, lost: lost)), at: now)
            case .requestKeyframe:
                enqueueFeedback(keyframeRequest(for: ssrc), at: now)
            case .telephoneEvent(let event):
                out.events.append(.telephoneEvent(event, mid: mid))
                let digit = event.digit.map { String($0) } ?? ""
                trace(
                    .peer(
                        .telephoneEvent(
                            mid: mid, event: event.event, digit: digit, length: event.length, isEnd: event.isEnd)),
                    at: now, into: &out)
            case .captureTime(let ntp, let timestamp):
                guard let placed = timelines.place(timestamp, of: ssrc, in: mid) else { continue }
                out.events.append(.captureTime(mid: mid, ntp: ntp, timestamp: placed))
            }
        }
        receiveOutput.removeAll()
        flushFeedback(at: now, into: &out)
    }

    /// PLI where it was agreed, else FIR (RFC 5104 §4.3.1), which numbers its commands.
    mutating func keyframeRequest(for ssrc: SSRC) -> RTCPPacket {
        guard receivers[ssrc]?.stream.configuration.keyframeRequests == .fullIntraRequest else {
            return .pictureLossIndication(PictureLossIndication(senderSSRC: feedbackSSRC, mediaSSRC: ssrc))
        }
        let command = receivers[ssrc]?.nextFullIntraCommand() ?? 0
        return .fullIntraRequest(
            FullIntraRequest(senderSSRC: feedbackSSRC, entries: [.init(ssrc: ssrc, command: command)]))
    }

    /// Asks every video sender for a keyframe, after the path moved or the recorder began.
    public mutating func requestKeyframes(at now: Instant, into out: inout Output) {
        for ssrc in receivers.keys(where: { $0.stream.configuration.kind == .video }) {
            enqueueFeedback(keyframeRequest(for: ssrc), at: now)
        }
        flushFeedback(at: now, into: &out)
    }

    // MARK: RTCP

    mutating func receiveRTCP(_ datagram: inout Datagram, at now: Instant, into out: inout Output) {
        guard srtp != nil else {
            keepEarly(datagram, .rtcp, at: now, into: &out)
            return
        }
        var packet: [UInt8] = []
        swap(&packet, &datagram.bytes)
        do {
            try srtp?.unprotectRTCP(&packet)
        } catch {
            drop(datagram, .rtcp, DropReason(error), at: now, into: &out)
            return
        }
        do {
            for part in try RTCPPacket.parseCompound(packet) { apply(part, at: now, into: &out) }
        } catch {
            trace(.peer(.malformedRTCP(reason: "\(error)")), at: now, into: &out)
        }
        publishTargetBitrate(into: &out)
        releasePaced(at: now, into: &out)
    }

    private mutating func apply(_ packet: RTCPPacket, at now: Instant, into out: inout Output) {
        switch packet {
        case .senderReport(let report):
            take(report, at: now, into: &out)
            for block in report.reports { apply(block, at: now, into: &out) }
        case .receiverReport(let report):
            for block in report.reports { apply(block, at: now, into: &out) }
        case .genericNACK(let nack):
            retransmit(nack, at: now, into: &out)
        case .pictureLossIndication(let request):
            for mid in senders.keys.sorted() where senders[mid]?.stream.receive(request) == true {
                keyframeAsked(mid: mid, at: now, into: &out)
            }
        case .fullIntraRequest(let request):
            for mid in senders.keys.sorted() where senders[mid]?.stream.receive(request) == true {
                keyframeAsked(mid: mid, at: now, into: &out)
            }
        case .transportFeedback(let feedback):
            apply(feedback, at: now)
        case .receiverEstimatedMaximumBitrate(let remb):
            bandwidth.receive(remoteMaximum: Int(clamping: remb.bitrate), at: now)
        case .goodbye(let bye):
            for ssrc in bye.sources {
                if let receiver = receivers[ssrc] { out.events.append(.remoteBye(mid: receiver.mid)) }
            }
        case .extendedReport(let report):
            let own = senders.values.map(\.stream.configuration.ssrc) + [feedbackSSRC]
            if let measured = receiverClock.receive(report, own: own, at: now) {
                for ssrc in receivers.keys { receivers[ssrc]?.remote.note(roundTrip: measured) }
            }
        default:
            break
        }
    }

    /// Sender reports that came before their stream: kept for a few streams, since the first one is what lets a
    /// recording put audio and video together from its first second.
    private static let maximumOrphanReports = 16

    private mutating func take(_ report: SenderReport, at now: Instant, into out: inout Output) {
        guard receivers.contains(report.ssrc) else {
            if orphanReports.count < Self.maximumOrphanReports { orphanReports[report.ssrc] = report }
            return
        }
        receivers[report.ssrc]?.stream.noteSenderReport(ntp: report.ntp, rtp: report.timestamp, at: now)
        receivers[report.ssrc]?.remote.note(report)
        if let mid = receivers[report.ssrc]?.mid, let known = receivers[report.ssrc]?.place(report) {
            tellReport(known, of: report.ssrc, mid: mid, into: &out)
        }
    }

    private mutating func apply(_ block: ReportBlock, at now: Instant, into out: inout Output) {
        guard let position = senders.firstPosition(where: { $0.ssrc == block.ssrc }) else { return }
        let mid = senders.keys[position]
        senders[at: position].stream.receive(report: block, at: now)
        bandwidth.receive(
            fractionLost: Double(block.fractionLost) / 256, roundTripTime: roundTripTime, at: now)
        out.events.append(.lossReported(mid: mid, fraction: Double(block.fractionLost) / 256))
    }

    private mutating func keyframeAsked(mid: String, at now: Instant, into out: inout Output) {
        if senders[mid]?.grantsKeyframe(at: now) == true { out.events.append(.keyframeRequested(mid: mid)) }
    }
}

extension DropReason {
    init(_ error: SRTPError) {
        switch error {
        case .authenticationFailed: self = .authenticationFailed
        case .replayed: self = .replayed
        case .tooManyStreams: self = .tooManyStreams
        default: self = .malformed
        }
    }
}
