import Congestion
import Primitives
import SimulatedNetwork
import Testing

/// A call in one direction over a simulated bottleneck: encoder, pacer, estimator; receiver and feedback.
struct CallBench {
    var simulation: Simulation
    let leftHost: HostID
    let rightHost: HostID
    var sender: Sender
    var receiver = Receiver()

    /// - Parameter up: the link towards the receiver. The way back has its delay and nothing else.
    init(_ up: LinkConfiguration, seed: UInt64 = 1, configure: (inout Sender) -> Void = { _ in }) {
        simulation = Simulation(seed: seed)
        leftHost = simulation.addHost(
            "sender", addresses: [Sender.path.local.ip],
            link: Link(up: up, down: LinkConfiguration(delay: up.delay)))
        rightHost = simulation.addHost("receiver", addresses: [Sender.path.remote.ip])
        sender = Sender(random: .seeded(seed))
        configure(&sender)
        sender.estimator.start(at: .zero)
    }

    mutating func run(toSecond second: Double) throws {
        try simulation.run(
            &sender, on: leftHost, &receiver, on: rightHost, until: .zero + .seconds(second))
    }

    /// Changes the link towards the receiver.
    mutating func configure(_ change: (inout LinkConfiguration) -> Void) {
        let link = simulation.link(of: leftHost)
        var configuration = simulation.configuration(of: link)
        change(&configuration.up)
        simulation.configure(link, configuration)
    }

    /// Bits per second on the wire that came out of the bottleneck, headers included, since the last call.
    mutating func deliveredBitrate(over seconds: Double) throws -> Int {
        let link = simulation.link(of: leftHost)
        let before = simulation.statistics(of: link).up.deliveredBytes
        let start = (simulation.now - .zero).seconds
        try run(toSecond: start + seconds)
        return Int(Double((simulation.statistics(of: link).up.deliveredBytes - before) * 8) / seconds)
    }

    /// How long the packet that came last was under way.
    var delay: TimeDelta? {
        receiver.last.flatMap { last in sender.departures[last.number].map { last.at - $0 } }
    }

    var dropped: Int { simulation.statistics(of: simulation.link(of: leftHost)).up.droppedByQueue }
}

/// Sends 30 frames a second of the size the target allows, 50 audio packets, and padding for probes.
struct Sender: SimulatedNode {
    static let path = NetworkPath(
        local: TransportAddress(IPAddress(v4: 0xC000_0201), 1), remote: TransportAddress(IPAddress(v4: 0xC633_6401), 1))
    static let headers = 28

    var path = Self.path
    var estimator = BandwidthEstimator(minimum: 30_000, start: 300_000, maximum: 5_000_000)
    var pacer: Pacer<Int>
    /// The most the encoder produces, and the least.
    var encoder = 0...10_000_000
    var random: RandomSource
    var targets: [(at: Instant, target: Int)] = []
    var seesFeedback = true
    var longestQueue = TimeDelta.zero
    private(set) var departures: [SequenceNumber: Instant] = [:]
    private var nextFrame = Instant.zero
    private var nextAudio = Instant.zero
    private var released: [Int] = []

    init(random: RandomSource) {
        var configuration = Pacer<Int>.Configuration()
        configuration.hasPadding = true
        pacer = Pacer(configuration: configuration)
        self.random = random
    }

    /// Starts the media, later than at zero.
    mutating func begin(at now: Instant) {
        nextFrame = now
        nextAudio = now
        estimator.start(at: now)
    }

    var deadline: Instant? {
        earliest(earliest(nextFrame, nextAudio), earliest(pacer.deadline, estimator.deadline))
    }

    mutating func advance(to now: Instant, into out: inout [Datagram]) {
        if let due = estimator.deadline, due <= now { estimator.advance(to: now) }
        while nextAudio <= now {
            pacer.enqueue(120, bytes: 120 + Self.headers, priority: .audio, at: now)
            nextAudio += .milliseconds(20)
        }
        while nextFrame <= now {
            enqueueFrame(at: now)
            nextFrame += .microseconds(33_333)
        }
        takeTarget(at: now)
        release(at: now, into: &out)
    }

    mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout [Datagram]) {
        guard seesFeedback else { return }
        estimator.receive(arrivals: FeedbackText.read(datagram.bytes), at: now)
        takeTarget(at: now)
        release(at: now, into: &out)
    }

    private mutating func enqueueFrame(at now: Instant) {
        let share = Double.random(in: 0.7...1.3, using: &random)
        let video = Swift.max(encoder.lowerBound, Swift.min(estimator.targetBitrate, encoder.upperBound) - 59_200)
        var left = Int(Double(video) / 240 * share)
        while left > 0, pacer.hasRoom {
            let size = Swift.max(60, Swift.min(left, 1_200))
            pacer.enqueue(size - Self.headers, bytes: size, priority: .video, at: now)
            left -= size
        }
        longestQueue = Swift.max(longestQueue, pacer.queueTime)
    }

    private mutating func takeTarget(at now: Instant) {
        while let probe = estimator.takeProbe() { pacer.start(probe) }
        guard targets.last?.target != estimator.targetBitrate else { return }
        targets.append((now, estimator.targetBitrate))
        pacer.setRate(bitsPerSecond: estimator.targetBitrate)
    }

    private mutating func release(at now: Instant, into out: inout [Datagram]) {
        while true {
            released.removeAll(keepingCapacity: true)
            pacer.release(at: now, into: &released)
            for size in released {
                let number = estimator.stamp(bytes: size + Self.headers, probe: pacer.releasedProbe, at: now)
                departures[number] = now
                var bytes: [UInt8] = []
                bytes.reserveCapacity(size)
                bytes.append(number.rawValue)
                bytes.append(contentsOf: repeatElement(0, count: size - 2))
                out.append(Datagram(bytes: bytes, path: path))
            }
            let padding = pacer.paddingNeeded(at: now)
            if padding > 0 {
                let size = Swift.min(padding, 250)
                pacer.enqueue(size - Self.headers, bytes: size, priority: .padding, at: now)
            } else if released.isEmpty || pacer.deadline.map({ $0 > now }) ?? true {
                return
            }
        }
    }

    /// The target that held at an instant.
    func target(atSecond second: Double) -> Int {
        targets.last { $0.at <= .zero + .seconds(second) }?.target ?? 0
    }
}

struct Receiver: SimulatedNode {
    var builder = TransportFeedbackBuilder()
    var sendsFeedback = true
    /// The receiver's clock runs from elsewhere.
    var clockOffset = TimeDelta.seconds(1_073_700)
    /// Where the packets come from, and what came.
    private var path = NetworkPath(local: Sender.path.remote, remote: Sender.path.local)
    private(set) var bytes = 0
    private(set) var last: (number: SequenceNumber, at: Instant)?
    var deadline: Instant? { builder.deadline.map { $0 - clockOffset } }

    mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout [Datagram]) {
        guard datagram.bytes.count >= 2 else { return }
        path = datagram.path
        bytes += datagram.bytes.count + Sender.headers
        let number = SequenceNumber(UInt16(datagram.bytes[0]) << 8 | UInt16(datagram.bytes[1]))
        last = (number, now)
        builder.noteArrival(number, media: SSRC(1), at: now + clockOffset)
    }

    mutating func advance(to now: Instant, into out: inout [Datagram]) {
        while let report = builder.take(at: now + clockOffset) {
            guard sendsFeedback else { continue }
            out.append(Datagram(bytes: FeedbackText.write(report), path: path))
        }
    }
}

/// A wire form of its own, with the quantisation and the wrap of the real one: 250 µs, 2²⁴ × 64 ms.
enum FeedbackText {
    static func write(_ report: ArrivalReport) -> [UInt8] {
        var bytes: [UInt8] = []
        var next = report.base
        bytes.append(UInt16(truncatingIfNeeded: report.base))
        for arrival in report.arrivals {
            while next < arrival.sequence {
                bytes.append(UInt8(0))
                next += 1
            }
            bytes.append(UInt8(1))
            bytes.append(UInt64(bitPattern: arrival.at.nanoseconds / 250_000 % (1 << 32)))
            next += 1
        }
        return bytes
    }

    static func read(_ bytes: [UInt8]) -> [(SequenceNumber, TimeDelta?)] {
        var reader = ByteReader(bytes)
        var result: [(SequenceNumber, TimeDelta?)] = []
        do throws(Truncated) {
            var number = SequenceNumber(try reader.readUInt16())
            while !reader.isAtEnd {
                let arrived = try reader.readUInt8() == 1
                result.append((number, arrived ? .microseconds(Int64(try reader.readUInt64()) * 250) : nil))
                number = number.next
            }
        } catch {
            Issue.record("feedback cut short at \(error.offset)")
        }
        return result
    }
}
