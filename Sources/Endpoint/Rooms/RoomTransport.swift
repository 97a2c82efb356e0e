import Locks
import Primitives
import Signaling

/// A place in a room on a server, over WebSocket, held through breaks of the connection.
///
/// The first connection must succeed: who mistyped wants to know. Later ones are tried again and again, at growing intervals
/// up to two seconds, for as long as the call lasts: within ten seconds the server still holds our place and delivers
/// what was said meanwhile; after that we join anew. What we say meanwhile waits, bounded.
final class RoomTransport: SignalingTransport {
    let inputs: AsyncStream<SignalingInput>
    let isStrict = false
    let returnPatience = roomReturnPatience
    private let continuation: AsyncStream<SignalingInput>.Continuation
    private let options: RoomOptions
    private let reporter: any CallReporter
    private let clock: @Sendable () -> Instant
    private let state = Locked(State())

    private struct State {
        var dialogue = RoomDialogue()
        var connection: WebSocketConnection?
        var waiting: [String] = []
        var phases: [SignalingPhase: Instant] = [:]
        var isEnding = false
        var task: Task<Void, Never>?
    }

    /// Messages of ours that wait while the connection is broken.
    private static let maximumWaiting = 500

    private init(options: RoomOptions, reporter: any CallReporter, clock: @escaping @Sendable () -> Instant) {
        self.options = options
        self.reporter = reporter
        self.clock = clock
        (inputs, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1_000))
    }

    /// Connects and asks for a place. Returns before it is known whether there is one: that comes as input.
    static func open(
        _ options: RoomOptions, reporter: any CallReporter, clock: @escaping @Sendable () -> Instant
    ) async throws(CallSetupError) -> RoomTransport {
        let transport = RoomTransport(options: options, reporter: reporter, clock: clock)
        let connection: WebSocketConnection
        do {
            connection = try await transport.connect()
        } catch {
            throw CallSetupError("\(error)", status: .signaling)
        }
        let task = Task { await transport.run(connection) }
        transport.state.withLock { $0.task = task }
        return transport
    }

    var phases: [SignalingPhase: Instant] { state.withLock { $0.phases } }

    // MARK: SignalingTransport

    func send(_ message: SignalingMessage) {
        let text = message.roomText
        state.withLock { state in
            if state.dialogue.isJoined, let connection = state.connection {
                // Under the lock, so that the order is that of the calls.
                connection.send(text)
            } else if state.waiting.count < Self.maximumWaiting {
                state.waiting.append(text)
            }
        }
    }

    func end() async {
        let (connection, task) = state.withLock { state in
            state.isEnding = true
            return (state.connection, state.task)
        }
        if let connection {
            connection.send(SignalingMessage.bye.roomText)
            connection.send(ClientMessage.leave.text)
            // The server closes after `leave`; one that does not is not waited for.
            let patience = Task {
                try? await Task.sleep(for: .seconds(1))
                connection.close()
            }
            await task?.value
            patience.cancel()
        } else {
            task?.cancel()
        }
    }

    // MARK: The connection

    private func connect() async throws(WebSocketError) -> WebSocketConnection {
        var limits = SignalingLimits()
        limits.pingInterval = .seconds(4)
        limits.silence = .seconds(10)
        limits.messageBytes = SignalingMessage.maximumLine + 1_024
        let connection = try await WebSocketClient.connect(
            to: options.url, token: options.token, trust: options.trust, limits: limits)
        let session = state.withLock { state in
            state.connection = connection
            if state.phases[.connected] == nil { state.phases[.connected] = clock() }
            return state.dialogue.session
        }
        connection.send(ClientMessage.join(session: session, name: "Postern").text)
        return connection
    }

    private func run(_ first: WebSocketConnection) async {
        var connection: WebSocketConnection? = first
        var delay = Duration.milliseconds(100)
        while !state.withLock({ $0.isEnding }), !Task.isCancelled {
            if let open = connection {
                switch await converse(over: open) {
                case .over: return continuation.finish()
                case .again: delay = .milliseconds(100)
                }
                connection = nil
                continue
            }
            do {
                connection = try await connect()
                continue
            } catch  where error.isFinal {
                return finish(CallSetupError("\(error)", status: .signaling))
            } catch {
                reporter.log(.debug, "signalling: \(error); trying again")
            }
            try? await Task.sleep(for: delay)
            delay = min(delay * 2, .seconds(2))
        }
        continuation.finish()
    }

    private enum Outcome { case again, over }

    /// Takes what comes until the connection ends.
    private func converse(over connection: WebSocketConnection) async -> Outcome {
        for await text in connection.messages {
            for event in state.withLock({ $0.dialogue.take(text) }) {
                switch event {
                case .input(let input): continuation.yield(input)
                case .joined(let resumed): joined(connection, resumed: resumed)
                case .note(let text): reporter.log(.info, "signalling: \(text)")
                case .refused(.unknownSession, _):
                    state.withLock { $0.dialogue.forgetSession() }
                    connection.close()
                case .refused(let code, let message):
                    finish(
                        CallSetupError(
                            "room \(options.url.room): \(message) (\(code.rawValue))", status: .signaling))
                    connection.close()
                    return .over
                }
            }
        }
        return state.withLock { state in
            state.connection = nil
            state.dialogue.connectionBroke()
            guard !state.isEnding else { return .over }
            reporter.log(.info, "the signalling connection broke; connecting again")
            return .again
        }
    }

    private func joined(_ connection: WebSocketConnection, resumed: Bool) {
        state.withLock { state in
            if state.phases[.joined] == nil { state.phases[.joined] = clock() }
            for text in state.waiting { connection.send(text) }
            state.waiting = []
        }
        if resumed { reporter.log(.info, "the signalling connection is back") }
    }

    private func finish(_ error: CallSetupError) {
        continuation.yield(.ended(error))
        continuation.finish()
    }
}

extension WebSocketError {
    /// Whether trying again cannot help.
    fileprivate var isFinal: Bool {
        switch kind {
        case .unreachable: false
        case .certificate: true
        case .refused(let status): status < 500
        }
    }
}
