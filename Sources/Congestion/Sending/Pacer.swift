import Primitives

/// What a packet is to the pacer, in the order in which packets leave.
public enum PacerPriority: Int, Hashable, Sendable, CaseIterable {
    /// Leaves at once; counts against the rate but never waits for it.
    case audio
    case retransmission
    case video
    /// Only what else the rate leaves room for.
    case padding
}

/// Spreads packets over time so that a frame does not arrive at the bottleneck as one lump.
///
/// A leaky bucket: every packet that leaves adds its bytes to a debt, and the debt is paid off at the pacing rate, which is
/// `factor` times the target. A packet may leave while the debt is below an allowance, so that packets leave in small
/// batches (a system call can take sixteen at once) and an idle pacer adds no delay at all. The allowance is what the
/// rate carries in `burst`, or sixteen packets if they take no longer than `batchTime`: at high rates batches are short in
/// time, at low rates short in packets. Once, at the start, a whole batch may leave whatever the rate.
///
/// The rate is a floor, too: a queue that would take longer than `longestQueue` is sent faster, because late video is
/// worth nothing. Before the first `setRate` nothing is held back.
///
/// A *probe* (see `ProbeController`) takes the bucket over for a few milliseconds: packets leave at the probe's rate, with
/// `paddingNeeded` saying how many bytes its owner must make up where media does not suffice. What one `release` lets go
/// belongs to one probe or to none; `releasedProbe` says which.
///
/// Each kind has a queue of its own with a cap. `release` is called after `enqueue` and whenever `deadline` comes, until
/// the deadline is `nil` or later than now: it is not yet where a probe ended and more may leave.
public struct Pacer<Payload> {
    public struct Configuration: Hashable, Sendable {
        /// Pacing rate over target bitrate.
        public var factor = 2.5
        /// The time a batch takes at the pacing rate.
        public var burst = TimeDelta.milliseconds(5)
        /// Batches may be this large where they take no longer than `batchTime`: 16 packets, for one system call.
        public var batchBytes = 16 * 1_200
        public var batchTime = TimeDelta.milliseconds(40)
        public var longestQueue = TimeDelta.milliseconds(2_000)
        public var maximumAudioPackets = 256
        /// For each of retransmissions and video.
        public var maximumPackets = 2_000
        public var maximumPaddingPackets = 64
        /// A probe that found nothing to send for so long is dropped.
        public var probeTimeout = TimeDelta.milliseconds(5_000)
        /// Whether the owner makes padding when `paddingNeeded` asks for it. Otherwise a probe waits for enough media.
        public var hasPadding = false
        public init() {}
    }

    @usableFromInline struct Entry {
        @usableFromInline var payload: Payload
        @usableFromInline var bytes: Int
        @inlinable init(payload: Payload, bytes: Int) {
            self.payload = payload
            self.bytes = bytes
        }
    }
    @usableFromInline struct ActiveProbe: Sendable {
        @usableFromInline var probe: Probe
        @usableFromInline var sentBytes = 0
        @usableFromInline var sentPackets = 0
        @inlinable init(probe: Probe) { self.probe = probe }
        @inlinable var isComplete: Bool {
            sentBytes >= probe.minimumBytes && sentPackets >= probe.minimumPackets
        }
    }

    public let configuration: Configuration
    @usableFromInline var audio: PacketRing<Entry>
    @usableFromInline var retransmission: PacketRing<Entry>
    @usableFromInline var video: PacketRing<Entry>
    @usableFromInline var padding: PacketRing<Entry>
    /// Bits per second; `nil` holds nothing back.
    @usableFromInline var targetBitrate: Int?
    /// Bytes sent and not yet paid off, as of `lastUpdate`.
    @usableFromInline var debt = 0.0
    /// Bytes that may leave besides the rate, once.
    @usableFromInline var credit: Int
    @usableFromInline var lastUpdate = Instant.zero
    @usableFromInline var probes: [ActiveProbe] = []
    @usableFromInline var probeStarted: Instant?
    @usableFromInline var hasSent = false
    @usableFromInline var bytesQueued = 0
    @usableFromInline var lastProbe: Int?
    @usableFromInline var refused = 0

    public init(configuration: Configuration = Configuration()) {
        self.configuration = configuration
        audio = PacketRing(capacity: configuration.maximumAudioPackets)
        retransmission = PacketRing(capacity: configuration.maximumPackets)
        video = PacketRing(capacity: configuration.maximumPackets)
        padding = PacketRing(capacity: configuration.maximumPaddingPackets)
        credit = configuration.batchBytes
    }

    public init(maximumPackets: Int) {
        var configuration = Configuration()
        configuration.maximumPackets = maximumPackets
        self.init(configuration: configuration)
    }

    @inlinable public var queuedPackets: Int { audio.count + retransmission.count + video.count + padding.count }
    @inlinable public var isEmpty: Bool { queuedPackets == 0 }
    @inlinable public var queuedBytes: Int { bytesQueued }
    /// The probe that what the last `release` let go belongs to.
    @inlinable public var releasedProbe: Int? { lastProbe }
    /// Packets refused by a full queue.
    @inlinable public var refusedPackets: Int { refused }

    /// Whether the queue of video takes a further frame: an eighth of it, 256 packets at most, is left for the packets
    /// of a frame that was begun.
    @inlinable public var hasRoom: Bool {
        video.count < video.capacity - Swift.min(256, video.capacity / 8)
    }

    /// How long what is queued takes at the pacing rate.
    @inlinable public var queueTime: TimeDelta {
        guard let rate = pacingRate else { return .zero }
        return .seconds(Double(queuedBytes) * 8 / rate)
    }

    @inlinable public mutating func setRate(bitsPerSecond: Int) { targetBitrate = Swift.max(1, bitsPerSecond) }

    /// Queues a packet. Returns false, and drops it, when the queue of its kind is full.
    @inlinable @discardableResult
    public mutating func enqueue(_ payload: Payload, bytes: Int, priority: PacerPriority, at now: Instant) -> Bool {
        payOff(to: now)
        let entry = Entry(payload: payload, bytes: bytes)
        let isQueued =
            switch priority {
            case .audio: audio.append(entry)
            case .retransmission: retransmission.append(entry)
            case .video: video.append(entry)
            case .padding: padding.append(entry)
            }
        if isQueued { bytesQueued += bytes } else { refused += 1 }
        return isQueued
    }

    /// Appends what may leave by `now`, in the order in which it should.
    @inlinable public mutating func release(at now: Instant, into out: inout [Payload]) {
        payOff(to: now)
        beginProbe(at: now)
        lastProbe = isProbing ? probes[0].probe.id : nil
        while let entry = audio.popFirst() { depart(entry, into: &out) }
        while debt < allowance, let entry = popPaced() {
            depart(entry, into: &out)
            if isProbing, probes[0].isComplete {
                endProbe()
                // What follows belongs to no probe, or to the next one: it is for the next call.
                return
            }
        }
    }

    /// When `release` next has something to let go, or a probe wants padding.
    @inlinable public var deadline: Instant? {
        let isWaiting = probeStarted == nil && !probes.isEmpty && configuration.hasPadding && hasSent
        guard !isEmpty || wantsPadding || isWaiting else { return nil }
        if audio.count > 0 { return lastUpdate }
        var wait = TimeDelta.zero
        if let rate = currentRate, debt >= allowance {
            wait = .seconds((debt - allowance) * 8 / rate) + .microseconds(1)
        }
        // Whoever owes us padding is asked again, but not at the same instant.
        if isEmpty { wait = Swift.max(wait, .milliseconds(1)) }
        return lastUpdate + wait
    }

    // MARK: Probes

    /// Queues a probe. At most four wait; more are dropped.
    public mutating func start(_ probe: Probe) {
        guard probes.count < 4 else { return }
        probes.append(ActiveProbe(probe: probe))
    }

    /// Bytes of padding to enqueue now, so that the probe keeps its rate; 0 while there is none or media suffices.
    @inlinable public func paddingNeeded(at now: Instant) -> Int {
        guard wantsPadding, let rate = currentRate else { return 0 }
        let paid = rate * (now - lastUpdate).seconds / 8
        return debt - paid < allowance ? Swift.max(200, Int(allowance)) : 0
    }

    @inlinable var isProbing: Bool { probeStarted != nil && !probes.isEmpty }
    @inlinable var wantsPadding: Bool {
        isProbing && configuration.hasPadding && retransmission.count + video.count + padding.count == 0
    }

    @inlinable mutating func beginProbe(at now: Instant) {
        if let started = probeStarted {
            if now - started > configuration.probeTimeout { endProbe() }
            return
        }
        guard hasSent, let next = probes.first else { return }
        let packets = retransmission.count + video.count
        guard
            configuration.hasPadding || (bytesQueued >= next.probe.minimumBytes && packets >= next.probe.minimumPackets)
        else { return }
        probeStarted = now
        debt = 0
    }

    @inlinable mutating func endProbe() {
        probeStarted = nil
        probes.removeFirst()
        debt = Swift.min(debt, allowance)
    }

    // MARK: The bucket

    /// Bits per second, or `nil` for no limit.
    @inlinable var pacingRate: Double? {
        guard let targetBitrate else { return nil }
        let floor = Double(queuedBytes) * 8 / configuration.longestQueue.seconds
        return Swift.max(Double(targetBitrate) * configuration.factor, floor)
    }

    @inlinable var currentRate: Double? { isProbing ? Double(probes[0].probe.bitrate) : pacingRate }

    /// The debt, in bytes, up to which packets may leave.
    @inlinable var allowance: Double {
        guard let rate = currentRate else { return .infinity }
        if isProbing { return rate * 0.002 / 8 }
        let bytesPerSecond = rate / 8
        let batch = Swift.min(Double(configuration.batchBytes), bytesPerSecond * configuration.batchTime.seconds)
        return Swift.max(bytesPerSecond * configuration.burst.seconds, batch)
    }

    @inlinable mutating func payOff(to now: Instant) {
        guard now > lastUpdate else { return }
        if let rate = currentRate {
            debt = Swift.max(0, debt - rate * (now - lastUpdate).seconds / 8)
        } else {
            debt = 0
        }
        lastUpdate = now
    }

    @inlinable mutating func popPaced() -> Entry? {
        if let entry = retransmission.popFirst() { return entry }
        if let entry = video.popFirst() { return entry }
        return padding.popFirst()
    }

    @inlinable mutating func depart(_ entry: Entry, into out: inout [Payload]) {
        bytesQueued -= entry.bytes
        hasSent = true
        if credit > 0, !isProbing {
            credit -= entry.bytes
        } else if targetBitrate != nil || isProbing {
            debt += Double(entry.bytes)
            // Audio does not wait for the rate; what it owes must not shut video out for long.
            if let rate = currentRate { debt = Swift.min(debt, Swift.max(allowance, rate / 16) + Double(entry.bytes)) }
        }
        if isProbing {
            probes[0].sentBytes += entry.bytes
            probes[0].sentPackets += 1
        }
        out.append(entry.payload)
    }
}

extension Pacer.Entry: Sendable where Payload: Sendable {}
extension Pacer: Sendable where Payload: Sendable {}
