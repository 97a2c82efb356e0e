import Primitives
import RTP

/// A wire in virtual time: loses, delays, reorders and duplicates.
struct VirtualWire {
    var delay: TimeDelta
    var jitter: TimeDelta = .zero
    var loss = 0.0
    var duplication = 0.0
    private var random: RandomSource
    private var underway: [(at: Instant, order: Int, bytes: [UInt8])] = []
    private var order = 0
    private var soonest: Instant?
    private(set) var lost = 0

    init(delay: TimeDelta, jitter: TimeDelta = .zero, loss: Double = 0, duplication: Double = 0, seed: UInt64) {
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        self.duplication = duplication
        random = .seeded(seed)
    }

    mutating func send(_ bytes: [UInt8], at now: Instant) {
        if Double.random(in: 0..<1, using: &random) < loss {
            lost += 1
            return
        }
        let copies = Double.random(in: 0..<1, using: &random) < duplication ? 2 : 1
        for _ in 0..<copies {
            let extra = jitter * Double.random(in: 0..<1, using: &random)
            order += 1
            underway.append((now + delay + extra, order, bytes))
            soonest = earliest(soonest, now + delay + extra)
        }
    }

    mutating func arrivals(at now: Instant) -> [[UInt8]] {
        guard let soonest, soonest <= now else { return [] }
        let due = underway.filter { $0.at <= now }.sorted { ($0.at, $0.order) < ($1.at, $1.order) }
        underway.removeAll { $0.at <= now }
        self.soonest = nil
        for packet in underway { self.soonest = earliest(self.soonest, packet.at) }
        return due.map(\.bytes)
    }
}

/// A send stream, two wires and a receive stream, stepped by the millisecond. The receiver's wishes travel back as RTCP.
struct VirtualCall {
    var sender: SendStream
    var receiver: ReceiveStream
    var forward: VirtualWire
    var backward: VirtualWire
    var now = Instant(nanoseconds: 1_000_000_000)

    private(set) var sent: [[UInt8]] = []
    private(set) var received: [EncodedFrame] = []
    private(set) var releases: [Instant] = []
    private(set) var tones: [ReceivedTelephoneEvent] = []
    private(set) var trace: [RTPTrace] = []
    private(set) var mostHeld = 0
    private(set) var packetsSent = 0
    private(set) var keyframesWanted = 0
    /// Set when `deadline` was not in the future after `advance(to:)`.
    private(set) var brokenDeadlines = 0
    private var isKeyframeDue = true
    private var random: RandomSource
    private let kind: MediaKind
    private let frameTicks: Int64
    private let frameInterval: TimeDelta
    private let rtxSSRC: SSRC?
    private var mediaTime: Int64 = 0
    private var nextFrameAt: Instant
    /// Rewrites a packet before the wire; `nil` drops it.
    var tap: (([UInt8], Int) -> [UInt8]?)?

    private var sequenceShift: UInt16 = 0
    private var timestampShift: UInt32 = 0
    /// Media packets the wire lost, retransmissions not counted.
    private(set) var lostMedia = 0

    init(
        kind: MediaKind, loss: Double = 0, jitter: TimeDelta = .zero, delay: TimeDelta = .milliseconds(50),
        duplication: Double = 0, isNACKEnabled: Bool = true, isRTX: Bool = true, seed: UInt64 = 1,
        receiver adjust: (inout ReceiveStreamConfiguration) -> Void = { _ in }
    ) {
        var random = RandomSource.seeded(seed)
        self.kind = kind
        let codec: Codec = kind == .video ? .vp8 : .opus
        frameTicks = kind == .video ? 3_000 : 960
        frameInterval = kind == .video ? .microseconds(33_333) : .milliseconds(20)
        rtxSSRC = isRTX ? SSRC(2) : nil
        sender = SendStream(
            SendStreamConfiguration(
                codec: codec, payloadType: 96, clockRate: kind == .video ? 90_000 : 48_000, ssrc: SSRC(1),
                retransmission: isRTX ? .init(ssrc: SSRC(2), payloadType: 97) : nil, cname: "x", mid: "0",
                extensions: [.transportSequenceNumber: 3, .mid: 4, .absoluteSendTime: 2, .audioLevel: 1],
                telephoneEventPayloadType: kind == .audio ? 126 : nil),
            random: &random)
        var configuration = ReceiveStreamConfiguration(
            ssrc: SSRC(1), kind: kind, clockRate: kind == .video ? 90_000 : 48_000,
            payloadTypes: kind == .video ? [96: .vp8] : [96: .opus, 126: .telephoneEvent],
            retransmissionPayloadTypes: [97: 96], isNACKEnabled: isNACKEnabled)
        adjust(&configuration)
        receiver = ReceiveStream(configuration)
        forward = VirtualWire(delay: delay, jitter: jitter, loss: loss, duplication: duplication, seed: seed &+ 1)
        backward = VirtualWire(delay: delay, jitter: jitter, loss: loss, seed: seed &+ 2)
        receiver.roundTripTime = delay * Int64(2) + jitter
        self.random = random
        nextFrameAt = now
    }

    /// Makes the wire count from other numbers than the sender does, to reach the wraps at once.
    mutating func renumber(firstSequence: UInt16, firstTimestamp: UInt32) {
        sequenceShift = firstSequence &- sender.nextSequenceNumber.rawValue
        var probe: [OutboundPacket] = []
        var copy = sender
        copy.packetize(EncodedFrame(codec: .opus, payload: [1], timestamp: 0), at: now, into: &probe)
        let timestamp = probe.first.flatMap { try? RTPHeader(parsing: $0.bytes) }?.timestamp.rawValue ?? 0
        timestampShift = firstTimestamp &- timestamp
    }

    private func renumbered(_ bytes: [UInt8]) -> [UInt8] {
        guard sequenceShift != 0 || timestampShift != 0, let header = try? RTPHeader(parsing: bytes) else {
            return bytes
        }
        var copy = bytes
        copy.overwrite(header.timestamp.rawValue &+ timestampShift, at: 4)
        if header.ssrc == rtxSSRC {
            let at = header.payloadRange.lowerBound
            copy.overwrite((UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])) &+ sequenceShift, at: at)
        } else {
            copy.overwrite(header.sequence.rawValue &+ sequenceShift, at: 2)
        }
        return copy
    }

    mutating func run(_ length: TimeDelta) {
        let end = now + length
        while now < end {
            step()
            now += .milliseconds(1)
        }
    }

    /// Runs without new frames, so that what is under way can arrive.
    mutating func drain(_ length: TimeDelta = .milliseconds(2_000)) {
        nextFrameAt = now + length + .milliseconds(1_000)
        run(length)
        nextFrameAt = now
    }

    private mutating func step() {
        var packets: [OutboundPacket] = []
        while nextFrameAt <= now {
            packets.removeAll(keepingCapacity: true)
            sender.packetize(nextFrame(), at: now, into: &packets)
            put(packets)
            nextFrameAt += frameInterval
        }
        packets.removeAll(keepingCapacity: true)
        if let deadline = sender.deadline, deadline <= now {
            sender.advance(to: now, into: &packets)
            put(packets)
        }
        var out = Outbox<ReceiveEvent, RTPTrace>()
        for bytes in forward.arrivals(at: now) {
            guard let header = try? RTPHeader(parsing: bytes) else { continue }
            if header.ssrc == rtxSSRC {
                receiver.receiveRetransmission(header, packet: bytes, at: now, into: &out)
            } else {
                receiver.receive(header, packet: bytes, at: now, into: &out)
            }
            mostHeld = max(mostHeld, receiver.heldPackets)
        }
        if let deadline = receiver.deadline, deadline <= now {
            receiver.advance(to: now, into: &out)
            if let next = receiver.deadline, next <= now { brokenDeadlines += 1 }
        }
        take(out)
        for bytes in backward.arrivals(at: now) { answer(bytes) }
    }

    private mutating func nextFrame() -> EncodedFrame {
        let isKeyframe = kind == .audio || isKeyframeDue
        isKeyframeDue = false
        let size =
            kind == .audio
            ? Int.random(in: 3...120, using: &random)
            : isKeyframe ? 9_000 : Int.random(in: 1...7_000, using: &random)
        // Marked all over with its place, so that a piece in the wrong place shows.
        var payload = [UInt8](repeating: UInt8(truncatingIfNeeded: sent.count), count: size)
        for index in stride(from: 1, to: size, by: 61) { payload[index] = UInt8(truncatingIfNeeded: index / 61) }
        payload[0] = kind == .audio ? 0x78 : isKeyframe ? 0x10 : 0x11
        sent.append(payload)
        defer { mediaTime += frameTicks }
        return EncodedFrame(
            codec: kind == .audio ? .opus : .vp8, payload: payload, timestamp: mediaTime, duration: frameTicks,
            isKeyframe: isKeyframe)
    }

    private mutating func put(_ packets: [OutboundPacket]) {
        for var packet in packets {
            packet.stamp(transportSequence: SequenceNumber(UInt16(truncatingIfNeeded: packetsSent)), at: now)
            packetsSent += 1
            guard let bytes = tap.map({ $0(packet.bytes, packetsSent) }) ?? packet.bytes else { continue }
            let before = forward.lost
            forward.send(renumbered(bytes), at: now)
            if !packet.isRetransmission { lostMedia += forward.lost - before }
        }
    }

    private mutating func take(_ out: Outbox<ReceiveEvent, RTPTrace>) {
        trace += out.trace
        for event in out.events {
            switch event {
            case .frame(let frame):
                received.append(frame)
                releases.append(now)
            case .sendNACK(let numbers):
                backward.send(
                    RTCPPacket.bytes(of: [
                        .genericNACK(GenericNACK(senderSSRC: SSRC(9), mediaSSRC: SSRC(1), lost: numbers))
                    ]), at: now)
            case .requestKeyframe:
                keyframesWanted += 1
                backward.send(
                    RTCPPacket.bytes(of: [
                        .pictureLossIndication(PictureLossIndication(senderSSRC: SSRC(9), mediaSSRC: SSRC(1)))
                    ]), at: now)
            case .telephoneEvent(let event): tones.append(event)
            case .captureTime: break
            }
        }
    }

    private mutating func answer(_ bytes: [UInt8]) {
        var packets: [OutboundPacket] = []
        for packet in (try? RTCPPacket.parseCompound(bytes)) ?? [] {
            switch packet {
            case .genericNACK(var nack):
                nack.lost = nack.lost.map { SequenceNumber($0.rawValue &- sequenceShift) }
                sender.retransmit(nack, at: now, rtt: receiver.roundTripTime, into: &packets)
            case .pictureLossIndication(let indication):
                if sender.receive(indication) { isKeyframeDue = true }
            default: break
            }
        }
        put(packets)
    }

    /// Whether every frame out is a frame in, in order, each at most once; how many.
    func matches() -> (isFaithful: Bool, count: Int) {
        guard let first = received.first else { return (true, 0) }
        var last = -1
        guard let start = sent.firstIndex(of: first.payload) else { return (false, 0) }
        for frame in received {
            let index = start + Int((frame.timestamp - first.timestamp) / frameTicks)
            guard sent.indices.contains(index), index > last, sent[index] == frame.payload else { return (false, 0) }
            last = index
        }
        return (true, received.count)
    }

    /// Whether each video frame out can be decoded: it is a keyframe or follows the frame before it.
    func isDecodable() -> Bool {
        guard let first = received.first, first.isKeyframe else { return received.isEmpty }
        for (previous, frame) in zip(received, received.dropFirst()) {
            let isNext = frame.timestamp == previous.timestamp + frameTicks
            if !isNext && !frame.isKeyframe { return false }
            if isNext == frame.followsLoss && !frame.isKeyframe { return false }
        }
        return true
    }

    mutating func sendTones(_ tones: String, duration: TimeDelta) {
        sender.sendTelephoneEvents(tones, duration: duration, at: now)
    }
}
