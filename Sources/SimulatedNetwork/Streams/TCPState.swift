import Primitives

/// One end of a simulated connection.
struct TCPState: Sendable {
    private enum Phase: Sendable {
        case connecting
        case accepting
        case open
        case over
    }

    let path: NetworkPath
    private let configuration: SimulatedTCP.Configuration
    private var phase: Phase
    private let since: Instant
    /// Whether the end is to be told: not of one that was closed here.
    private var isClosed = false

    // Out: segments that are not acknowledged, and bytes that wait for the window.
    private var unacknowledged: [TCPSegment] = []
    private var waiting: [UInt8] = []
    private var nextSequence: UInt64 = 0
    private var wantsFinish = false
    private var isFinishSent = false
    private var sent = 0
    private var timeout: Instant?
    private var timeouts = 0
    private var roundTrip: TimeDelta?
    private var timed: (sequence: UInt64, at: Instant)?
    private var lastProgress: Instant
    private var duplicates = 0
    /// Bytes that may be under way, and where growth becomes slow (RFC 5681 §3.1).
    private var window: Int
    private var threshold = Int.max

    // In.
    private var expected: UInt64 = 0
    private var outOfOrder: [UInt64: TCPSegment] = [:]
    private var owesAcknowledgment = false

    init(_ path: NetworkPath, _ configuration: SimulatedTCP.Configuration, isActive: Bool, at now: Instant) {
        self.path = path
        self.configuration = configuration
        since = now
        lastProgress = now
        window = 10 * configuration.segmentSize
        phase = isActive ? .connecting : .accepting
        if isActive {
            unacknowledged = [TCPSegment(.synchronize, sequence: 0)]
            nextSequence = 1
        }
    }

    var isConnecting: Bool { if case .connecting = phase { true } else { false } }
    var isOver: Bool { if case .over = phase { true } else { false } }
    var deadline: Instant? { isOver ? nil : timeout }
    var waitingBytes: Int { waiting.count }

    var resetSegment: Datagram {
        Datagram(
            bytes: TCPSegment([.reset, .acknowledge], sequence: nextSequence, acknowledgment: expected).bytes,
            path: path)
    }

    mutating func write(_ bytes: [UInt8]) { if !isClosed { waiting.append(contentsOf: bytes) } }

    mutating func finish() {
        isClosed = true
        wantsFinish = true
    }

    // MARK: In

    mutating func receive(
        _ segment: TCPSegment, at now: Instant, _ connection: SimulatedTCP.Connection,
        into events: inout [SimulatedTCP.Event]
    ) {
        if segment.flags.contains(.reset) {
            return end(isConnecting ? .refused : .reset, connection, into: &events)
        }
        // The acknowledgement of a handshake may have been lost.
        if segment.flags.contains(.synchronize), expected > 0 { owesAcknowledgment = true }
        if segment.flags.contains(.synchronize), expected == 0 {
            expected = 1
            owesAcknowledgment = true
            if case .accepting = phase {
                unacknowledged = [TCPSegment([.synchronize, .acknowledge], sequence: 0)]
                nextSequence = 1
            }
        }
        if segment.flags.contains(.acknowledge) {
            acknowledge(segment.acknowledgment, isPure: segment.length == 0, at: now)
            if case .connecting = phase, unacknowledged.isEmpty, expected > 0 {
                phase = .open
                events.append(.connected(connection, path))
            } else if case .accepting = phase, segment.acknowledgment >= 1 {
                phase = .open
                events.append(.accepted(connection, path))
            }
        }
        guard segment.length > 0, !segment.flags.contains(.synchronize) else { return }
        owesAcknowledgment = true
        if segment.sequence >= expected, outOfOrder.count < configuration.maximumWaiting {
            outOfOrder[segment.sequence] = segment
        }
        while let next = outOfOrder.removeValue(forKey: expected) {
            expected += next.length
            if !next.payload.isEmpty, !isClosed { events.append(.received(connection, next.payload)) }
            if next.flags.contains(.finish) {
                wantsFinish = true
                if !isClosed { events.append(.ended(connection, .closed)) }
                isClosed = true
            }
        }
    }

    private mutating func acknowledge(_ number: UInt64, isPure: Bool, at now: Instant) {
        let before = unacknowledged.count
        while let first = unacknowledged.first, first.sequence + first.length <= number {
            unacknowledged.removeFirst()
            sent = max(0, sent - 1)
        }
        if unacknowledged.count < before {
            if let timed, timed.sequence <= number {
                let sample = now - timed.at
                roundTrip = roundTrip.map { $0 + (sample - $0) / 8 } ?? sample
                self.timed = nil
            }
            let step =
                window < threshold
                ? configuration.segmentSize : configuration.segmentSize * configuration.segmentSize / window
            window = min(configuration.window, window + max(step, 1) * (before - unacknowledged.count))
            lastProgress = now
            timeouts = 0
            duplicates = 0
            timeout = nil
        } else if isPure, !unacknowledged.isEmpty {
            duplicates += 1
            if duplicates == 3 {
                sent = 0
                shrink(to: window / 2)
            }
        }
    }

    // MARK: Out

    mutating func expire(
        at now: Instant, _ connection: SimulatedTCP.Connection, into events: inout [SimulatedTCP.Event]
    ) {
        timeout = nil
        let limit = isConnecting ? configuration.connectPatience : configuration.patience
        guard now - lastProgress < limit else { return end(.timedOut, connection, into: &events) }
        timeouts += 1
        shrink(to: 0)
        duplicates = 0
        timed = nil
        sent = 0
    }

    private mutating func shrink(to size: Int) {
        threshold = max(window / 2, 2 * configuration.segmentSize)
        window = max(size, 2 * configuration.segmentSize)
    }

    /// What may leave now: segments again from the first that is not acknowledged, then new ones as the window allows.
    mutating func transmit(at now: Instant, into datagrams: inout [Datagram]) {
        guard !isOver else { return }
        fill(at: now)
        let first = sent
        while sent < unacknowledged.count {
            // After a timeout one segment finds out whether the path is back.
            if timeouts > 0, sent > first { break }
            var segment = unacknowledged[sent]
            if expected > 0 { segment.flags.insert(.acknowledge) }
            segment.acknowledgment = expected
            datagrams.append(Datagram(bytes: segment.bytes, path: path))
            owesAcknowledgment = false
            sent += 1
        }
        if owesAcknowledgment {
            let segment = TCPSegment(.acknowledge, sequence: nextSequence, acknowledgment: expected)
            datagrams.append(Datagram(bytes: segment.bytes, path: path))
            owesAcknowledgment = false
        }
        if unacknowledged.isEmpty {
            timeout = nil
            lastProgress = now
            if wantsFinish, waiting.isEmpty, isFinishSent { phase = .over }
        } else if timeout == nil {
            let base = max((roundTrip ?? .milliseconds(500)) * Int64(2), .milliseconds(200))
            timeout = now + min(base * Int64(1 << min(timeouts, 10)), .seconds(8))
        }
    }

    private mutating func fill(at now: Instant) {
        guard case .open = phase else { return }
        while !waiting.isEmpty, nextSequence - (unacknowledged.first?.sequence ?? nextSequence) < UInt64(window) {
            let payload = Array(waiting.prefix(configuration.segmentSize))
            waiting.removeFirst(payload.count)
            unacknowledged.append(TCPSegment(.acknowledge, sequence: nextSequence, payload: payload))
            nextSequence += UInt64(payload.count)
            if timed == nil { timed = (nextSequence, now) }
        }
        if wantsFinish, waiting.isEmpty, !isFinishSent {
            isFinishSent = true
            unacknowledged.append(TCPSegment([.finish, .acknowledge], sequence: nextSequence))
            nextSequence += 1
        }
    }

    private mutating func end(
        _ reason: SimulatedTCP.End, _ connection: SimulatedTCP.Connection, into events: inout [SimulatedTCP.Event]
    ) {
        phase = .over
        if !isClosed { events.append(.ended(connection, reason)) }
    }
}
