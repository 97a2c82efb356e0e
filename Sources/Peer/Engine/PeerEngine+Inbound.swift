import Congestion
import DTLSSRTP
import Primitives
import RTP
import SDP

/// Media in: decrypt, find the stream, feed its jitter buffer.
extension PeerEngine {
    mutating func receiveRTP(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        guard srtp != nil else {
            keepEarly(datagram, .rtp, at: now, into: &out)
            return
        }
        var packet = datagram.bytes
        do {
            try srtp?.unprotectRTP(&packet)
        } catch {
            drop(datagram, .rtp, DropReason(error), at: now, into: &out)
            return
        }
        note(.firstRTPReceived, at: now, into: &out)
        guard var header = try? RTPHeader(parsing: packet) else {
            drop(datagram, .rtp, .malformed, at: now, into: &out)
            return
        }
        noteTransportSequence(of: header, packet: packet, at: now)
        guard let route = route(header, packet: packet, at: now, into: &out) else { return }
        var isRetransmission = false
        if case .retransmission(let base) = route {
            guard let receiver = receivers[base],
                let original = receiver.unwrapRetransmission(header: header, packet: &packet),
                let unwrapped = try? RTPHeader(parsing: packet)
            else { return }
            _ = original
            header = unwrapped
            isRetransmission = true
        }
        guard receivers[header.ssrc] != nil else { return }
        receivers[header.ssrc]?.stream.receive(
            header, packet: packet, at: now, isRetransmission: isRetransmission, into: &receiveOutput)
        drainReceiveStream(header.ssrc, at: now, into: &out)
    }

    // MARK: Routing (RFC 8843 §9.2)

    enum Route {
        case stream(SSRC)
        case retransmission(of: SSRC)
    }

    private mutating func route(
        _ header: RTPHeader, packet: [UInt8], at now: Instant, into out: inout Output
    ) -> Route? {
        if receivers[header.ssrc] != nil { return .stream(header.ssrc) }
        if let base = routes.retransmissions[header.ssrc], receivers[base] != nil { return .retransmission(of: base) }
        return createRoute(header, packet: packet, at: now, into: &out)
    }

    /// The first packet of an SSRC decides where it belongs: MID, then what the description said, then payload type.
    private mutating func createRoute(
        _ header: RTPHeader, packet: [UInt8], at now: Instant, into out: inout Output
    ) -> Route? {
        guard let session else { return nil }
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
        if let apt = section.retransmissionTypes[header.payloadType] {
            guard let base = routes.base(ofRetransmission: header.ssrc, apt: apt, in: section, receivers: receivers)
            else {
                counters.packetsDropped += 1
                refuse("a retransmission whose own stream is not known yet")
                return nil
            }
            routes.retransmissions[header.ssrc] = base
            return .retransmission(of: base)
        }
        guard let format = section.format(of: header.payloadType) else {
            counters.packetsDropped += 1
            refuse("payload type \(header.payloadType) was not agreed for section \(section.mid)")
            return nil
        }
        let inSection = receivers.values.count { $0.mid == section.mid }
        guard inSection < configuration.limits.receiveStreamsPerSection else {
            counters.packetsDropped += 1
            refuse("\(inSection) streams in section \(section.mid) are the limit")
            return nil
        }
        receivers[header.ssrc] = ReceiverState(
            mid: section.mid, stream: ReceiveStream(configuration: .init(section, ssrc: header.ssrc, format: format)),
            retransmissionTypes: section.retransmissionTypes)
        if let roundTrip = ice.currentRoundTripTime { receivers[header.ssrc]?.stream.roundTripTime = roundTrip }
        trace(
            .peer(.streamCreated(ssrc: header.ssrc, mid: section.mid, routedBy: rule)), at: now, into: &out)
        return .stream(header.ssrc)
    }

    // MARK: What a stream gives out

    mutating func drainReceiveStream(_ ssrc: SSRC, at now: Instant, into out: inout Output) {
        guard let mid = receivers[ssrc]?.mid, !receiveOutput.isEmpty else { return }
        for entry in receiveOutput.trace { trace(.rtp(entry, ssrc), at: now, into: &out) }
        var feedback: [RTCPPacket] = []
        for event in receiveOutput.events {
            switch event {
            case .frame(let frame):
                note(
                    frame.codec.kind == .video ? .firstVideoFrameReceived : .firstAudioFrameReceived, at: now,
                    into: &out)
                out.events.append(.frame(frame, mid: mid))
            case .sendNACK(let lost):
                feedback.append(.genericNACK(GenericNACK(sender: reports.feedbackSSRC, media: ssrc, lost: lost)))
            case .requestKeyframe:
                feedback.append(.pictureLossIndication(.init(sender: reports.feedbackSSRC, media: ssrc)))
                receivers[ssrc]?.stream.noteKeyframeRequestSent()
            case .telephoneEvent(let event):
                out.events.append(
                    .telephoneEvent(
                        code: event.code, durationMilliseconds: event.durationMilliseconds, mid: mid))
            }
        }
        receiveOutput.removeAll()
        if !feedback.isEmpty { sendRTCP(feedback, at: now, into: &out) }
    }

    /// Asks every video sender for a keyframe, after the path moved or the recorder began.
    public mutating func requestKeyframes(at now: Instant, into out: inout Output) {
        for (ssrc, receiver) in receivers where receiver.stream.kind == .video {
            sendRTCP(
                [.pictureLossIndication(.init(sender: reports.feedbackSSRC, media: ssrc))], at: now, into: &out)
        }
    }

    // MARK: RTCP

    mutating func receiveRTCP(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        guard srtp != nil else {
            keepEarly(datagram, .rtcp, at: now, into: &out)
            return
        }
        var packet = datagram.bytes
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
            receivers[report.ssrc]?.stream.noteSenderReport(ntp: report.ntp, rtp: report.rtpTimestamp, at: now)
            if let receiver = receivers[report.ssrc] {
                out.events.append(
                    .senderReport(
                        mid: receiver.mid, ntp: report.ntp,
                        timestamp: receiver.stream.unwrapped(report.rtpTimestamp)))
            }
            for block in report.reports { apply(block, at: now, into: &out) }
        case .receiverReport(let report):
            for block in report.reports { apply(block, at: now, into: &out) }
        case .genericNACK(let nack):
            retransmit(nack, at: now, into: &out)
        case .pictureLossIndication(let request):
            keyframeAsked(for: request.media, isFIR: false, sequence: 0, at: now, into: &out)
        case .fullIntraRequest(let request):
            for entry in request.entries {
                keyframeAsked(for: entry.ssrc, isFIR: true, sequence: entry.sequence, at: now, into: &out)
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
            answer(report, at: now, into: &out)
        default:
            break
        }
    }

    private mutating func apply(_ block: ReportBlock, at now: Instant, into out: inout Output) {
        guard let mid = senders.first(where: { $0.value.stream.ssrc == block.ssrc })?.key else { return }
        senders[mid]?.stream.receive(report: block, wallClock: wallClock, at: now)
        guard let stream = senders[mid]?.stream else { return }
        if let roundTrip = stream.roundTripTime {
            for ssrc in receivers.keys { receivers[ssrc]?.stream.roundTripTime = roundTrip }
        }
        bandwidth.receive(
            fractionLost: Double(block.fractionLost) / 256, roundTripTime: stream.roundTripTime, at: now)
        out.events.append(.lossReported(mid: mid, fraction: Double(block.fractionLost) / 256))
    }

    private mutating func keyframeAsked(
        for ssrc: SSRC, isFIR: Bool, sequence: UInt8, at now: Instant, into out: inout Output
    ) {
        guard let mid = senders.first(where: { $0.value.stream.ssrc == ssrc })?.key else { return }
        guard senders[mid]?.acceptKeyframeRequest(isFIR: isFIR, sequence: sequence, at: now) == true else { return }
        out.events.append(.keyframeRequested(mid: mid))
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
