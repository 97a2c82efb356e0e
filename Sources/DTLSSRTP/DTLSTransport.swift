import Primitives

/// A DTLS 1.2 association that ends in keys for SRTP (RFC 6347, RFC 5764), as a sans-IO machine.
///
/// Life: *new*, until `start` says which role negotiation gave us; datagrams that come before are kept, for the peer may
/// have its answer sooner than we have its. *Connecting*: the handshake runs. It may run before the peer's fingerprint is
/// known (the offerer hears the ClientHello before the answer), but then it stops at its end and waits: nothing is
/// trusted, exported or announced before `setRemoteFingerprints` (RFC 8122 §6.2, RFC 8827 §6.5). *Connected*: keys are
/// out, the association only answers a peer that repeats its last flight, and listens for close_notify and alerts.
/// *Closed* and *failed* are terminal; ICE restarts do not touch an association (RFC 8842 §5).
///
/// No cookies: ICE has proved the peer's address before a datagram comes here, so HelloVerifyRequest would only cost a
/// round trip, and it could not be combined with a ClientHello in several datagrams, which post-quantum key shares make.
///
/// Time. OpenSSL's retransmission starts at one second and runs on the wall clock. Here the schedule is ours and told
/// time rules: a flight is repeated after twice the round trip (50 ms at least, 100 ms while it is unknown), where that is
/// known three times more at that interval, then at doubling intervals up to 3 s, and given up 30 s after it first went out (RFC 6347 §4.2.4 asks for such a timer and
/// leaves the values open). Most flights are repeated by ourselves, with fresh record numbers and the same content:
///
/// - ClientHello and the server's first flight are plain text. The peer that has them already is expecting nothing of us
///   but its own next flight, on its own timer.
/// - The client's last flight has an encrypted Finished, which a server answers only in a new record; OpenSSL writes that
///   one (see `OpenSSLConnection` for how its timer is brought into line).
/// - The server's last flight has no timer. It goes out again when the client repeats its Finished, by OpenSSL.
///
/// What OpenSSL writes passes `RecordNumbering` on its way out, which also keeps every datagram within the MTU.
///
/// Unchecked Sendable: the object is owned by one engine and called by one executor at a time, as its owner is; nothing
/// else holds a reference, and OpenSSL objects may be used from any thread, one at a time.
public final class DTLSTransport: @unchecked Sendable {
    private enum Phase {
        case new
        case handshaking(OpenSSLConnection)
        case awaitingFingerprint(OpenSSLConnection)
        case connected(OpenSSLConnection)
        case closed
        case failed
    }

    public let configuration: Configuration
    public private(set) var role: DTLSRole?
    public private(set) var statistics = Statistics()
    private var phase = Phase.new
    private var fingerprints: [Fingerprint] = []
    private var early: BoundedQueue<[UInt8]>
    private var timer: RetransmissionTimer
    private var numbering: RecordNumbering
    /// The last flight as OpenSSL wrote it, for repetition.
    private var flight: [[UInt8]] = []
    private var randomness: RandomSource?

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        early = BoundedQueue(capacity: max(1, configuration.earlyDatagramLimit))
        timer = RetransmissionTimer(roundTripTime: configuration.roundTripTime)
        numbering = RecordNumbering(mtu: configuration.mtu)
        randomness = configuration.randomness
    }

    public var state: State {
        switch phase {
        case .new: .new
        case .handshaking, .awaitingFingerprint: .connecting
        case .connected: .connected
        case .closed: .closed
        case .failed: .failed
        }
    }

    /// When `advance(to:)` is wanted next. After `advance(to: d)` it is `nil` or later than `d`.
    public var deadline: Instant? { timer.deadline }

    /// The round trip in use; measured by the handshake itself where nobody said.
    public var roundTripTime: TimeDelta? { timer.roundTripTime }

    /// A measurement, such as of ICE's checks. Sets the pace of repetitions.
    public func setRTT(_ roundTripTime: TimeDelta) { timer.setRoundTripTime(roundTripTime) }

    // MARK: Inputs

    /// Begins, in the role that `a=setup` gave us. The client's ClientHello goes out at once. A second call is ignored.
    public func start(as role: DTLSRole, at now: Instant, into output: inout Output) {
        guard case .new = phase else { return }
        self.role = role
        do throws(DTLSError) {
            let made = withRandomness { () -> Result<OpenSSLConnection, DTLSError> in
                do throws(DTLSError) {
                    return .success(try OpenSSLConnection(role: role, configuration: configuration))
                } catch {
                    return .failure(error)
                }
            }
            let connection = try made.get()
            connection.expected = fingerprints
            phase = .handshaking(connection)
        } catch {
            fail(error, into: &output)
            return
        }
        output.trace.append(.started(role))
        if role == .client { shakeHands(nil, at: now, into: &output) }
        while let datagram = early.popFirst() { receive(datagram, at: now, into: &output, isEarly: true) }
    }

    /// What the peer's description announced. Of several hash functions only the strongest counts. May be called late,
    /// and again: a connected association is not judged anew.
    public func setRemoteFingerprints(_ announced: [Fingerprint], at now: Instant, into output: inout Output) {
        fingerprints = announced.strongest
        switch phase {
        case .handshaking(let connection): connection.expected = fingerprints
        case .awaitingFingerprint(let connection): conclude(connection, into: &output)
        default: break
        }
    }

    /// A datagram whose first byte is 20 to 63 (RFC 7983 §7), from a path that ICE has validated.
    public func receive(_ bytes: [UInt8], at now: Instant, into output: inout Output) {
        statistics.datagramsReceived += 1
        statistics.bytesReceived += bytes.count
        receive(bytes, at: now, into: &output, isEarly: false)
    }

    /// Repeats what is due at `now`.
    public func advance(to now: Instant, into output: inout Output) {
        guard let deadline = timer.deadline, deadline <= now else { return }
        guard case .handshaking(let connection) = phase else {
            timer.stop()
            return
        }
        if let start = timer.flightStart, now - start >= configuration.handshakeTimeout {
            fail(.timeout, into: &output)
            return
        }
        repeatFlight(of: connection, at: now, into: &output)
    }

    /// Sends close_notify where there is an association, and ends.
    public func close(at now: Instant, into output: inout Output) {
        switch phase {
        case .awaitingFingerprint(let connection), .connected(let connection):
            withRandomness { connection.shutdown() }
            _ = send(connection.takeWritten(), into: &output)
            report(connection, into: &output)
        case .new, .handshaking: break
        case .closed, .failed: return
        }
        end(as: .closed)
    }

    // MARK: Handshake

    private func receive(_ bytes: [UInt8], at now: Instant, into output: inout Output, isEarly: Bool) {
        guard bytes.count <= configuration.datagramSizeLimit else { return drop(bytes, .tooLong, into: &output) }
        guard DTLSRecords.beginsWithRecord(bytes) else { return drop(bytes, .notDTLS, into: &output) }
        switch phase {
        case .new:
            guard early.append(bytes) else { return drop(bytes, .tooManyEarly, into: &output) }
            output.trace.append(.earlyDatagramKept(bytes: bytes.count))
        case .handshaking(let connection):
            guard let bytes = readable(bytes, on: connection, into: &output) else { return }
            shakeHands(bytes, at: now, into: &output)
        case .awaitingFingerprint(let connection), .connected(let connection):
            guard let bytes = readable(bytes, on: connection, into: &output) else { return }
            listen(to: connection, bytes, into: &output)
        case .closed, .failed: drop(bytes, .closed, into: &output)
        }
    }

    /// What of a datagram OpenSSL may see.
    private func readable(
        _ bytes: [UInt8], on connection: OpenSSLConnection, into output: inout Output
    ) -> [UInt8]? {
        let readable = DTLSRecords.readable(bytes, overhead: connection.recordOverhead)
        if readable.count < bytes.count { drop(bytes, .impossibleRecord, into: &output) }
        return readable.isEmpty ? nil : readable
    }

    private func shakeHands(_ datagram: [UInt8]?, at now: Instant, into output: inout Output) {
        guard case .handshaking(let connection) = phase else { return }
        connection.initialInterval = timer.initialInterval(answeredAt: now)
        connection.nextInterval = timer.nextInterval
        let progress = withRandomness { connection.handshake(datagram) }
        let written = connection.takeWritten()
        report(connection, into: &output)
        switch progress {
        case .waiting:
            guard !written.isEmpty else { return }
            if connection.didRetransmit {
                noteRepetition(send(written, into: &output), at: now, into: &output)
            } else if DTLSRecords.type(of: written[0]) == DTLSRecords.alert {
                _ = send(written, into: &output)
            } else {
                noteAnswer(at: now, into: &output)
                timer.start(at: now)
                flight = written
                noteFlight(send(written, into: &output), into: &output)
            }
        case .finished:
            noteAnswer(at: now, into: &output)
            timer.stop()
            flight = []
            if !written.isEmpty { noteFlight(send(written, into: &output), into: &output) }
            output.trace.append(.handshakeFinished(awaitsFingerprint: fingerprints.isEmpty))
            phase = .awaitingFingerprint(connection)
            conclude(connection, into: &output)
            // What came in the same datagram as Finished, or was kept by OpenSSL for after it.
            switch phase {
            case .awaitingFingerprint, .connected: listen(to: connection, nil, into: &output)
            default: break
            }
        case .closedByPeer:
            _ = send(written, into: &output)
            output.events.append(.closedByPeer)
            end(as: .closed)
        case .failed(let error):
            _ = send(written, into: &output)
            fail(error, into: &output)
        }
    }

    /// The end of the handshake: the certificate is judged, and only then are keys exported.
    private func conclude(_ connection: OpenSSLConnection, into output: inout Output) {
        guard case .awaitingFingerprint = phase, let algorithm = fingerprints.first?.algorithm else { return }
        let certificate = connection.peerCertificate
        guard !certificate.isEmpty, let got = digest(of: certificate, algorithm) else {
            return refuse(connection, .noPeerCertificate, into: &output)
        }
        guard fingerprints.contains(got) else {
            return refuse(connection, .fingerprintMismatch(expected: fingerprints, got: got), into: &output)
        }
        guard let profile = connection.selectedProfile, configuration.profiles.contains(profile) else {
            return refuse(connection, .noCommonProfile, into: &output)
        }
        guard let keys = connection.exportKeys(for: profile) else {
            return refuse(connection, .refused(reason: "the key exporter failed"), into: &output)
        }
        phase = .connected(connection)
        output.events.append(
            .connected(
                Association(
                    keyingMaterial: keys, version: connection.version, cipherSuite: connection.cipherSuite,
                    peerCertificate: certificate)))
    }

    /// Ends an association whose handshake is over. OpenSSL sends no alert of our choice then: close_notify it is.
    private func refuse(_ connection: OpenSSLConnection, _ error: DTLSError, into output: inout Output) {
        withRandomness { connection.shutdown() }
        _ = send(connection.takeWritten(), into: &output)
        fail(error, into: &output)
    }

    /// After the handshake. An error here is no end: RTP has its keys, and ICE's consent watches over the path.
    private func listen(to connection: OpenSSLConnection, _ datagram: [UInt8]?, into output: inout Output) {
        var applicationBytes = 0
        let progress = withRandomness { connection.read(datagram, applicationBytes: &applicationBytes) }
        let written = connection.takeWritten()
        report(connection, into: &output)
        if applicationBytes > 0 {
            statistics.applicationBytesIgnored += applicationBytes
            output.trace.append(.applicationDataIgnored(bytes: applicationBytes))
        }
        let sent = send(written, into: &output)
        if sent.datagrams > 0, DTLSRecords.type(of: written[0]) != DTLSRecords.alert {
            output.trace.append(.lastFlightRepeated(datagrams: sent.datagrams, bytes: sent.bytes))
        }
        switch progress {
        case .closedByPeer:
            output.events.append(.closedByPeer)
            end(as: .closed)
        case .failed(.alert(let code)): fail(.alert(code), into: &output)
        case .failed, .waiting, .finished: break
        }
    }

    // MARK: Repetition

    private func repeatFlight(of connection: OpenSSLConnection, at now: Instant, into output: inout Output) {
        connection.nextInterval = timer.nextInterval
        let isEncrypted = flight.contains { write in
            DTLSRecords.ranges(in: write).contains { DTLSRecords.epoch(of: write, at: $0.lowerBound) != 0 }
        }
        if isEncrypted, OpenSSLConnection.repeats(timer.repetitions + 1) {
            switch withRandomness({ connection.retransmit() }) {
            case .sent:
                noteRepetition(send(connection.takeWritten(), into: &output), at: now, into: &output)
                return
            case .early(let wait):
                timer.postpone(until: now + wait)
                return
            case .failed(let error):
                fail(error, into: &output)
                return
            case .unavailable: _ = connection.takeWritten()
            }
        }
        noteRepetition(send(flight, into: &output), at: now, into: &output)
    }

    private func noteRepetition(_ sent: Sent, at now: Instant, into output: inout Output) {
        timer.backOff(at: now)
        statistics.flightsRepeated += 1
        output.trace.append(
            .flightRepeated(
                repetition: timer.repetitions, datagrams: sent.datagrams, bytes: sent.bytes,
                nextIn: (timer.deadline ?? now) - now))
    }

    private func noteFlight(_ sent: Sent, into output: inout Output) {
        output.trace.append(
            .flightSent(
                datagrams: sent.datagrams, bytes: sent.bytes,
                answerExpectedIn: timer.deadline == nil ? nil : timer.initialInterval))
    }

    private func noteAnswer(at now: Instant, into output: inout Output) {
        if let sample = timer.noteAnswer(at: now) { output.trace.append(.roundTripMeasured(sample)) }
    }

    // MARK: Ends and outputs

    private typealias Sent = (datagrams: Int, bytes: Int)

    private func send(_ writes: [[UInt8]], into output: inout Output) -> Sent {
        var sent = Sent(0, 0)
        for datagram in numbering.datagrams(for: writes) {
            sent.datagrams += 1
            sent.bytes += datagram.count
            output.datagrams.append(datagram)
        }
        statistics.datagramsSent += sent.datagrams
        statistics.bytesSent += sent.bytes
        return sent
    }

    private func report(_ connection: OpenSSLConnection, into output: inout Output) {
        for line in connection.takeKeyLogLines() { output.events.append(.keyLogLine(line)) }
        for alert in connection.takeAlerts() { output.trace.append(.alert(alert)) }
    }

    private func drop(_ bytes: [UInt8], _ reason: DropReason, into output: inout Output) {
        statistics.datagramsDropped += 1
        output.trace.append(.datagramDropped(reason, bytes: bytes.count))
    }

    private func fail(_ error: DTLSError, into output: inout Output) {
        output.events.append(.failed(error))
        end(as: .failed)
    }

    private func end(as phase: Phase) {
        self.phase = phase
        timer.stop()
        flight = []
        early.removeAll()
    }

    private func withRandomness<Value>(_ body: () -> Value) -> Value {
        guard var source = randomness else { return body() }
        defer { randomness = source }
        return SeededRandomness.run(&source, body)
    }
}
