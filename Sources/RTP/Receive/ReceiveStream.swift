import Primitives

/// One RTP stream we receive: packets in, frames out, in decoding order.
///
/// A packet goes through five stations, each a value of its own:
///
/// 1. `SequenceTracker` extends its number and tells duplicates, jumps and restarts.
/// 2. `ReceptionAccounting` counts loss and jitter for the reception report (RFC 3550 A.3, A.8).
/// 3. `NACKGenerator` knows which packets are missing, since when, and when to ask for them (RFC 4585 §6.2.1).
/// 4. `AudioJitterBuffer` or `VideoFrameAssembler` puts packets in order and frames together. Whatever is complete and in
///    its turn leaves at once: without loss and reordering no delay is added.
/// 5. Out come events: frames, wishes for packets and keyframes, telephone events.
///
/// When the buffer is stuck on a missing packet, it waits as long as the packet can still be expected: for reordering
/// as the path has shown it, for a retransmission as many round trips as it may take, within the limits of the
/// configuration. Then audio goes on with a gap, and video asks for a keyframe and begins again there. The wish for a
/// keyframe is repeated until one is on its way, at most once a round trip and four times a second.
///
/// Timers: the next wish for packets, the end of the wait, the next wish for a keyframe. `deadline` is the soonest; after
/// `advance(to: d)` it is `nil` or later than `d`.
public struct ReceiveStream: Sendable {
    public private(set) var configuration: ReceiveStreamConfiguration
    /// The path's round-trip time, set by the owner when it learns better; times retransmissions and waits.
    public var roundTripTime: TimeDelta = .milliseconds(100)

    var counts = ReceiveStatistics()
    private var tracker = SequenceTracker()
    private var accounting: ReceptionAccounting
    private var retransmissionTracker = SequenceTracker()
    private var retransmissionAccounting: ReceptionAccounting
    private var senderClock: SenderClock
    private var timestamps = RTPTimestampUnwrapper()
    var nacks: NACKGenerator
    var audio: AudioJitterBuffer
    var video: VideoFrameAssembler
    private var events = TelephoneEventReceiver()
    var freezes = FreezeTracker()
    private var codecs: [Codec?] = []
    private var extensions = ReceivedExtensions(HeaderExtensionMap())
    private var lastCaptureTimeTold: Instant?
    private var unwrapper: RTXUnwrapper

    /// What the buffer is stuck at, and since when the packet is missing.
    var stall: (sequence: Int64, since: Instant)?
    /// When to ask for a keyframe (again).
    var keyframeDue: Instant?
    var keyframeReason = KeyframeRequestReason.start
    var keyframeAskedAt: Instant?
    var keyframeAwaitedSince: Instant?

    public init(_ configuration: ReceiveStreamConfiguration) {
        self.configuration = configuration
        accounting = ReceptionAccounting(clockRate: configuration.clockRate)
        retransmissionAccounting = ReceptionAccounting(clockRate: configuration.clockRate)
        senderClock = SenderClock(clockRate: configuration.clockRate)
        nacks = NACKGenerator(
            isEnabled: configuration.isNACKEnabled, capacity: configuration.maximumMissing,
            maximumTries: configuration.maximumNACKs)
        audio = AudioJitterBuffer(capacity: configuration.maximumPackets, maximumBytes: configuration.maximumBytes)
        video = VideoFrameAssembler(capacity: configuration.maximumPackets, maximumBytes: configuration.maximumBytes)
        unwrapper = RTXUnwrapper(
            mediaSSRC: configuration.ssrc, payloadTypes: configuration.retransmissionPayloadTypes)
        adopt(
            payloadTypes: configuration.payloadTypes,
            retransmissionPayloadTypes: configuration.retransmissionPayloadTypes, extensions: configuration.extensions)
    }

    /// Takes over the numbers of a renegotiation; what is held stays.
    /// - Parameters:
    ///   - clockRates: of telephone events; `nil` leaves them as they are.
    ///   - map: the header extensions; `nil` leaves them as they are.
    public mutating func adopt(
        payloadTypes: [UInt8: Codec], retransmissionPayloadTypes: [UInt8: UInt8],
        telephoneEventClockRates clockRates: [UInt8: Int]? = nil, extensions map: HeaderExtensionMap? = nil
    ) {
        if let clockRates { configuration.telephoneEventClockRates = clockRates }
        configuration.extensions = map ?? configuration.extensions
        extensions = ReceivedExtensions(configuration.extensions)
        configuration.payloadTypes = payloadTypes
        configuration.retransmissionPayloadTypes = retransmissionPayloadTypes
        codecs = (0..<128).map { payloadTypes[UInt8($0)] }
        unwrapper = RTXUnwrapper(mediaSSRC: configuration.ssrc, payloadTypes: retransmissionPayloadTypes)
    }

    public var statistics: ReceiveStatistics {
        var result = counts
        result.packetsLost = accounting.packetsLost
        result.jitter = accounting.jitter
        result.framesDropped = video.framesDropped
        return result
    }

    public var hasReceived: Bool { accounting.hasReceived }
    /// Packets held back at the moment.
    public var heldPackets: Int { configuration.kind == .audio ? audio.count : video.count }

    // MARK: Packets

    /// Takes in a packet of this stream.
    /// - Parameters:
    ///   - header: parsed from `packet`.
    ///   - packet: the whole packet, decrypted.
    ///   - isRetransmission: whether it came as a retransmission and was unwrapped by the owner.
    public mutating func receive(
        _ header: RTPHeader, packet: [UInt8], at now: Instant, isRetransmission: Bool = false,
        into out: inout Outbox<ReceiveEvent, RTPTrace>
    ) {
        count(header, at: now, isRetransmission: isRetransmission)
        let newest = tracker.newest
        let sequence: Int64
        if isRetransmission, newest == nil { return discard(header, .notARetransmission, into: &out) }
        switch tracker.receive(header.sequence, mayRestart: !isRetransmission) {
        case .jump: return discard(header, .jump, into: &out)
        case .duplicate(let number):
            counts.packetsDuplicated += 1
            if !isRetransmission {
                accounting.receive(sequence: number, timestamp: timestamps.unwrap(header.timestamp), at: now)
            }
            return discard(header, .duplicate, into: &out)
        case .restarted(let number):
            sequence = number
            restart(at: number, now: now, reason: .restart)
            out.trace.append(.sequenceRestarted(configuration.ssrc, at: header.sequence))
            accounting.restart()
        case .fresh(let number):
            sequence = number
            if let newest, number > newest + 1, !nacks.noteMissing(newest + 1..<number, at: now) {
                overflow(at: number, now: now, into: &out)
            }
        }
        let timestamp = timestamps.unwrap(header.timestamp)
        if !isRetransmission { accounting.receive(sequence: sequence, timestamp: timestamp, at: now) }
        nacks.noteArrival(sequence, at: now, rtt: roundTripTime, isRetransmission: isRetransmission)
        let entry = entry(header, packet: packet, sequence: sequence, timestamp: timestamp, at: now, into: &out)
        insert(entry, header: header, packet: packet, isRetransmission: isRetransmission, at: now, into: &out)
        advance(to: now, into: &out)
    }

    /// Takes in a packet of the stream that repairs this one (RFC 4588), with its own SSRC. Padding on it is counted
    /// and dropped.
    public mutating func receiveRetransmission(
        _ header: RTPHeader, packet: [UInt8], at now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>
    ) {
        switch retransmissionTracker.receive(header.sequence, mayRestart: true) {
        case .fresh(let sequence), .duplicate(let sequence):
            retransmissionAccounting.receive(sequence: sequence, timestamp: 0, at: now)
        case .restarted(let sequence):
            retransmissionAccounting.restart()
            retransmissionAccounting.receive(sequence: sequence, timestamp: 0, at: now)
        case .jump: break
        }
        var original = header
        var bytes = packet
        guard unwrapper.unwrap(&original, &bytes) else {
            return count(header, at: now, isRetransmission: true)
        }
        receive(original, packet: bytes, at: now, isRetransmission: true, into: &out)
    }

    private mutating func count(_ header: RTPHeader, at now: Instant, isRetransmission: Bool) {
        counts.packetsReceived &+= 1
        counts.bytesReceived &+= UInt64(header.payloadRange.count)
        counts.headerBytesReceived &+= UInt64(header.headerLength + header.paddingLength)
        counts.lastPacketReceivedAt = now
        if isRetransmission {
            counts.retransmittedPacketsReceived &+= 1
            counts.retransmittedBytesReceived &+= UInt64(header.payloadRange.count)
        }
    }

    private func discard(
        _ header: RTPHeader, _ reason: RTPTrace.Discard, into out: inout Outbox<ReceiveEvent, RTPTrace>
    ) {
        out.trace.append(.packetDiscarded(configuration.ssrc, header.sequence, reason))
    }

    /// What the buffers need to know of a packet. Telephone events are told here, since they repeat themselves and need
    /// no order.
    private mutating func entry(
        _ header: RTPHeader, packet: [UInt8], sequence: Int64, timestamp: Int64, at now: Instant,
        into out: inout Outbox<ReceiveEvent, RTPTrace>
    ) -> PacketRing.Entry {
        var entry = PacketRing.Entry(
            sequence: sequence, timestamp: timestamp, arrival: now, data: header.payloadRange, codec: .comfortNoise,
            flags: header.marker ? .marker : [])
        guard header.payloadRange.upperBound <= packet.count, !header.payloadRange.isEmpty else {
            entry.flags.insert(.filler)
            return entry
        }
        readExtensions(of: header, packet: packet, into: &entry, at: now, into: &out)
        guard let codec = codecs[Int(header.payloadType & 0x7F)], codec.kind == configuration.kind else {
            counts.packetsOfUnknownType += 1
            discard(header, .unknownPayloadType, into: &out)
            entry.flags.insert(.filler)
            return entry
        }
        entry.codec = codec
        if codec != .comfortNoise, codec != .telephoneEvent { counts.payloadType = header.payloadType }
        switch codec {
        case .vp8:
            guard
                let descriptor = try? VP8PayloadDescriptor(
                    parsing: packet, in: header.payloadRange, dataRange: &entry.data)
            else {
                entry.flags.insert(.malformed)
                break
            }
            if descriptor.startsFrame {
                entry.flags.insert(.startsFrame)
                if packet[entry.data.lowerBound] & 1 == 0 { entry.flags.insert(.keyframe) }
            }
        case .telephoneEvent:
            entry.flags.insert(.filler)
            guard let event = try? TelephoneEvent(parsing: packet, in: header.payloadRange) else {
                entry.flags.insert(.malformed)
                break
            }
            let clockRate =
                configuration.telephoneEventClockRates[header.payloadType & 0x7F] ?? configuration.clockRate
            let ratio = Swift.max(1, configuration.clockRate / Swift.max(1, clockRate))
            for var told in events.receive(event, timestamp: timestamp, ratio: Int64(ratio)) {
                told.clockRate = clockRate
                out.events.append(.telephoneEvent(told))
            }
        case .opus, .pcmu, .pcma, .comfortNoise: break
        }
        if entry.flags.contains(.malformed) {
            counts.packetsMalformed += 1
            discard(header, .malformedPayload, into: &out)
        }
        return entry
    }

    private mutating func readExtensions(
        of header: RTPHeader, packet: [UInt8], into entry: inout PacketRing.Entry, at now: Instant,
        into out: inout Outbox<ReceiveEvent, RTPTrace>
    ) {
        guard !header.extensions.isEmpty, extensions.areAny else { return }
        let found = extensions.read(header, in: packet)
        entry.audioLevel = found.audioLevel
        entry.quarterTurns = found.quarterTurns
        if let delay = found.playoutDelay { counts.playoutDelay = delay }
        guard let capture = found.captureTime else { return }
        counts.captureTimesReceived &+= 1
        if let last = lastCaptureTimeTold, now - last < .milliseconds(500) { return }
        lastCaptureTimeTold = now
        out.events.append(.captureTime(capture, timestamp: entry.timestamp))
    }

    private mutating func insert(
        _ entry: PacketRing.Entry, header: RTPHeader, packet: [UInt8], isRetransmission: Bool, at now: Instant,
        into out: inout Outbox<ReceiveEvent, RTPTrace>
    ) {
        var isLate = false
        var isOverflow = false
        switch configuration.kind {
        case .audio:
            switch audio.insert(entry, packet: packet) {
            case .stored: break
            case .late: isLate = true
            case .overflow: isOverflow = true
            }
        case .video:
            switch video.insert(entry, packet: packet) {
            case .stored: break
            case .late: isLate = true
            case .overflow: isOverflow = true
            }
        }
        if isLate {
            counts.packetsDiscarded += 1
            if !isRetransmission { nacks.noteLate() }
            discard(header, .late, into: &out)
        } else if isOverflow {
            overflow(at: entry.sequence, now: now, into: &out)
            switch configuration.kind {
            case .audio: _ = audio.insert(entry, packet: packet)
            case .video: _ = video.insert(entry, packet: packet)
            }
        }
    }

    private mutating func overflow(at sequence: Int64, now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>) {
        // What is in its turn and complete may still leave; the rest is given up.
        release(at: now, into: &out)
        counts.skipEvents += 1
        out.trace.append(.bufferOverflowed(configuration.ssrc))
        restart(at: sequence, now: now, reason: .overflow)
    }

    private mutating func restart(at sequence: Int64, now: Instant, reason: KeyframeRequestReason) {
        nacks.removeAll()
        stall = nil
        switch configuration.kind {
        case .audio: audio.restart(at: sequence)
        case .video:
            video.restart(at: sequence)
            wantKeyframe(reason, at: now)
        }
    }

    // MARK: Reports

    /// Takes in the sender's report on this stream: for its clock, and for LSR and DLSR in our reports.
    public mutating func noteSenderReport(ntp: NTPTime, rtp: RTPTimestamp, at now: Instant) {
        senderClock.note(ntp: ntp, timestamp: rtp, at: now)
    }

    /// The sender's wall clock at a frame's timestamp; `nil` before its first report.
    public func captureTime(of timestamp: Int64) -> NTPTime? { senderClock.captureTime(of: timestamp) }

    /// The block for our next report (RFC 3550 §6.4.1), which begins a new interval for the fraction lost. `nil` before
    /// the first packet and when none came for eight seconds.
    public mutating func receptionReport(at now: Instant) -> ReportBlock? {
        guard accounting.hasReceived, let last = counts.lastPacketReceivedAt, now - last < .milliseconds(8_000) else {
            return nil
        }
        var block = accounting.report(ssrc: configuration.ssrc)
        (block.lastSenderReport, block.delaySinceLastSenderReport) = senderClock.fields(at: now)
        return block
    }

    /// The block for the stream of retransmissions.
    public mutating func retransmissionReport(ssrc: SSRC) -> ReportBlock? {
        retransmissionAccounting.hasReceived ? retransmissionAccounting.report(ssrc: ssrc) : nil
    }
}
