import Primitives

/// One RTP stream we send, with the stream that repairs it.
///
/// Frames go in, packets come out, in the order they are to leave. Everything a packet needs is known here but two
/// things that only its departure tells, the transport-wide sequence number and the send time; their places are noted
/// in the packet and `OutboundPacket.stamp` fills them.
///
/// A packet costs one allocation. What was sent is kept as parts of the frames it was cut from, so that a lost packet
/// can be made again without a copy having been kept. A packet asked for twice within three quarters of a round trip
/// is sent once: the second wish was on its way before the first answer could arrive. (Not a whole round trip: jitter
/// shortens the distance of two wishes that were a round trip apart.)
///
/// The first sequence numbers are below 2¹⁵, so that reordering around the first packets cannot make the far SRTP
/// endpoint guess a wrong rollover counter (RFC 3711 §3.3.1).
///
/// Sender reports say where the media clock stands at the instant of the report, not at the last frame. Round trips
/// are measured against the instants at which we sent the reports, so steps of the wall clock do no harm.
public struct SendStream: Sendable {
    public internal(set) var configuration: SendStreamConfiguration
    public internal(set) var statistics = SendStatistics()
    public internal(set) var remote = RemoteReception()
    /// Put into each packet whose frame does not tell its own, when the extension is negotiated.
    public var audioLevel: AudioLevel?

    /// Number of the next packet, unwrapped.
    var nextSequence: Int64
    var nextRetransmission: Int64
    let timestampOffset: UInt32
    private var vp8: VP8PayloadFormat
    var clock: MediaClockMap
    var history: SendHistory
    var templates: HeaderTemplates
    private var lastCaptureTimeAt: Instant?
    private var lastQuarterTurns: UInt8 = 0
    /// What is added to a frame's timestamp since the source was replaced.
    var sourceOffset: Int64 = 0
    var isSourceNew = false
    var lastMedia: (time: Int64, at: Instant)?
    /// Media time at which the telephone event under way began.
    var toneBegan: Int64 = 0
    /// Whether the far end has reported on this stream, and so knows its media section.
    var isKnown = false
    /// Packets and payload octets of the media SSRC alone, for sender reports.
    var mediaPackets: UInt64 = 0
    var mediaOctets: UInt64 = 0
    var sentReports = BoundedQueue<(compact: UInt32, at: Instant)>(capacity: 16)
    var lastCommands: [SSRC: UInt8] = [:]
    var tones: TelephoneEventSender

    /// - Parameter random: gives the first sequence numbers, the timestamp offset and the first picture id.
    public init(_ configuration: SendStreamConfiguration, random: inout RandomSource) {
        self.configuration = configuration
        let sequence = Int64.random(in: 1..<0x8000, using: &random)
        let retransmission = Int64.random(in: 1..<0x8000, using: &random)
        let timestamp = UInt32.random(in: 0...UInt32.max, using: &random)
        nextSequence = configuration.firstSequenceNumber.map { Int64($0.rawValue) } ?? sequence
        nextRetransmission = configuration.firstSequenceNumber.map { Int64($0.rawValue) } ?? retransmission
        timestampOffset = configuration.firstTimestamp?.rawValue ?? timestamp
        vp8 = VP8PayloadFormat(pictureID: UInt16.random(in: 0..<0x8000, using: &random))
        clock = MediaClockMap(clockRate: configuration.clockRate)
        history = SendHistory(capacity: configuration.historyCapacity, maximumAge: configuration.historyAge)
        tones = TelephoneEventSender(configuration)
        templates = HeaderTemplates(configuration)
    }

    /// Sequence number of the next media packet.
    public var nextSequenceNumber: SequenceNumber { SequenceNumber(UInt16(truncatingIfNeeded: nextSequence)) }
    public var hasSentMedia: Bool { mediaPackets > 0 }

    // MARK: Media

    /// Turns a frame into packets. Video is cut to fit; audio is one packet whatever its size, for it cannot be cut
    /// (RFC 7587 §4.2). While a telephone event sounds, audio is silent (RFC 4733 §2.2).
    /// - Parameter captured: our wall clock when the frame was captured. Goes with the first packet of a frame once a
    ///   second, and with the first few frames, where the extension was agreed.
    public mutating func packetize(
        _ frame: EncodedFrame, captured: NTPTime? = nil, at now: Instant, into packets: inout [OutboundPacket]
    ) {
        guard !frame.payload.isEmpty else {
            statistics.framesDiscarded += 1
            return
        }
        let mediaTime = mediaTime(of: frame, at: now)
        clock.note(timestamp: mediaTime, at: frame.captured ?? now)
        let timestamp = rtpTimestamp(of: mediaTime)
        let first = packets.count
        var template = template
        var captureTemplate: HeaderTemplate?
        if captured != nil, let timed = templates.timed, isCaptureTimeDue(at: now) {
            captureTemplate = timed
            lastCaptureTimeAt = now
        }
        if configuration.codec == .vp8 {
            if frame.isKeyframe { template = templates.full }
            // The orientation goes with the last packet, of keyframes, while it is not upright and when it changes
            // (3GPP TS 26.114 §7.4.5; a frame of one packet tells its capture time another time).
            let turns = frame.quarterTurns & 3
            var orientedTemplate: HeaderTemplate?
            if frame.isKeyframe || turns != 0 || turns != lastQuarterTurns { orientedTemplate = templates.oriented }
            lastQuarterTurns = turns
            let rtxRoom = configuration.retransmission == nil ? 0 : 2
            let headerRoom = Swift.max(
                (captureTemplate ?? template).bytes.count, orientedTemplate?.bytes.count ?? 0)
            let plan = FragmentPlan(
                length: frame.payload.count,
                maximum: configuration.maximumPacketSize - headerRoom - VP8PayloadFormat.descriptorLength - rtxRoom)
            let pictureID = vp8.takePictureID()
            for index in 0..<plan.count {
                let isLast = index == plan.count - 1
                let special = isLast ? orientedTemplate : nil
                append(
                    SentPacket(
                        sequence: nextSequence, timestamp: timestamp, payloadType: configuration.payloadType,
                        marker: isLast,
                        descriptor: VP8PayloadFormat.descriptor(pictureID: pictureID, isFirst: index == 0),
                        quarterTurns: turns, frame: frame.payload, range: plan.range(of: index), sentAt: now),
                    template: special ?? (index == 0 ? captureTemplate ?? template : template), into: &packets)
            }
            if let orientedTemplate, let last = packets.indices.last {
                orientedTemplate.write(VideoOrientation(rotation: Int(turns) * 90), into: &packets[last].bytes)
                if plan.count == 1 { captureTemplate = nil }
            }
        } else {
            guard !tones.isSounding else { return }
            let level = frame.audioLevel ?? audioLevel?.byte
            let sent = SentPacket(
                sequence: nextSequence, timestamp: timestamp, payloadType: configuration.payloadType,
                marker: frame.marker || mediaPackets == 0, audioLevel: level, descriptor: nil, frame: frame.payload,
                range: 0..<frame.payload.count, sentAt: now)
            // A level that is not known is not told: 127 would say that there is silence.
            if level == nil, captureTemplate != nil { captureTemplate = templates.timedUnlevelled }
            append(
                sent, template: captureTemplate ?? (level == nil ? templates.unlevelled : template), into: &packets)
        }
        if captureTemplate != nil, let captured, first < packets.count {
            captureTemplate?.write(captured, into: &packets[first].bytes)
        }
        statistics.framesSent += 1
        if frame.isKeyframe { statistics.keyFramesSent += 1 }
    }

    private func isCaptureTimeDue(at now: Instant) -> Bool {
        guard statistics.framesSent >= 4, let last = lastCaptureTimeAt else { return true }
        return now - last >= .milliseconds(1_000)
    }

    /// The header of the next media packet.
    var template: HeaderTemplate { isKnown ? templates.lean : templates.full }

    /// The header of a packet that is sent again.
    func template(for sent: SentPacket) -> HeaderTemplate {
        sent.audioLevel == nil && configuration.codec.kind == .audio ? templates.unlevelled : template
    }

    func rtpTimestamp(of mediaTime: Int64) -> RTPTimestamp { RTPTimestamp(timestampOffset) + mediaTime }

    private mutating func append(
        _ sent: SentPacket, template: HeaderTemplate, into packets: inout [OutboundPacket]
    ) {
        packets.append(packet(sent, template: template))
        nextSequence += 1
        mediaPackets &+= 1
        mediaOctets &+= UInt64(sent.payloadLength)
        count(headerBytes: template.bytes.count, payloadBytes: sent.payloadLength)
        if configuration.historyCapacity > 0 { history.append(sent) }
    }

    /// Sends a payload of another type in the sequence of this stream (telephone events).
    mutating func append(
        payload: [UInt8], payloadType: UInt8, timestamp: RTPTimestamp, marker: Bool, at now: Instant,
        into packets: inout [OutboundPacket]
    ) {
        append(
            SentPacket(
                sequence: nextSequence, timestamp: timestamp, payloadType: payloadType, marker: marker,
                descriptor: nil, frame: payload, range: 0..<payload.count, sentAt: now),
            template: templates.unlevelled, into: &packets)
    }

    func packet(_ sent: SentPacket, template: HeaderTemplate) -> OutboundPacket {
        let number = SequenceNumber(UInt16(truncatingIfNeeded: sent.sequence))
        var bytes = template.begin(
            sequence: number, timestamp: sent.timestamp, marker: sent.marker, room: sent.payloadLength)
        bytes[1] = (bytes[1] & 0x80) | (sent.payloadType & 0x7F)
        if let offset = template.audioLevelOffset, let level = sent.audioLevel { bytes[offset] = level }
        if let descriptor = sent.descriptor { bytes.append(descriptor) }
        bytes.append(contentsOf: sent.frame[sent.range])
        return OutboundPacket(
            bytes: bytes, ssrc: configuration.ssrc, sequence: number, payloadBytes: sent.payloadLength,
            transportSequenceOffset: template.transportSequenceOffset, sendTimeOffset: template.sendTimeOffset,
            marker: sent.marker)
    }

    mutating func count(headerBytes: Int, payloadBytes: Int) {
        statistics.packetsSent &+= 1
        statistics.headerBytesSent &+= UInt64(headerBytes)
        statistics.bytesSent &+= UInt64(payloadBytes)
    }
}
