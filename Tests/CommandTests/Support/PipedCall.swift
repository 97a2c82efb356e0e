import Foundation
import Synchronization
import Testing

/// Two `postern call stdio:` processes whose signalling passes through the test, which may look at it and change it.
struct PipedCall: Sendable {
    enum Side: Sendable { case offerer, answerer }

    var offerer: Ended
    var answerer: Ended
    /// Lines as they were written.
    var fromOfferer: [String]
    var fromAnswerer: [String]

    /// - Parameter rewriting: gives the lines that go on in place of one.
    static func run(
        offerer: [String], answerer: [String], scratch: Scratch, limit: Int = 60,
        rewriting: @escaping @Sendable (String, Side) -> [String] = { line, _ in [line] }
    ) async throws -> PipedCall {
        try await Places.calls.taking {
            let toAnswerer = Relay { rewriting($0, .offerer) }
            let toOfferer = Relay { rewriting($0, .answerer) }
            let answering = try Program(
                posternPath, ["call", "stdio:answer"] + answerer, scratch: scratch, input: toAnswerer.sink,
                output: toOfferer.source)
            let offering = try Program(
                posternPath, ["call", "stdio:offer"] + offerer, scratch: scratch, input: toOfferer.sink,
                output: toAnswerer.source)
            toAnswerer.start()
            toOfferer.start()
            async let first = offering.ended(within: limit)
            async let second = answering.ended(within: limit)
            return await PipedCall(
                offerer: first, answerer: second, fromOfferer: toAnswerer.lines, fromAnswerer: toOfferer.lines)
        }
    }
}

/// Lines from one process to another.
final class Relay: Sendable {
    /// What the writing process has as its standard output, and the reading one as its input.
    let source = Pipe()
    let sink = Pipe()
    private let rewriting: @Sendable (String) -> [String]
    private let state = Mutex((pending: Data(), lines: [String]()))

    init(rewriting: @escaping @Sendable (String) -> [String] = { [$0] }) {
        self.rewriting = rewriting
        ignoreBrokenPipes
    }

    var lines: [String] { state.withLock { $0.lines } }

    func start() {
        source.fileHandleForReading.readabilityHandler = { [self] handle in
            let data = handle.availableData
            guard !data.isEmpty else {
                handle.readabilityHandler = nil
                try? sink.fileHandleForWriting.close()
                return
            }
            let fresh = state.withLock { state in
                state.pending.append(data)
                var fresh: [String] = []
                while let end = state.pending.firstIndex(of: 0x0A) {
                    fresh.append(String(decoding: state.pending[..<end], as: UTF8.self))
                    state.pending = Data(state.pending[state.pending.index(after: end)...])
                }
                state.lines += fresh
                return fresh
            }
            for line in fresh.flatMap(rewriting) {
                try? sink.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
            }
        }
    }
}

/// One `postern call stdio:` whose other side is a text.
func scriptedCall(
    _ role: String, _ arguments: [String], says text: String, keepsOpen: Bool = false, scratch: Scratch
) async throws -> Ended {
    ignoreBrokenPipes
    return try await Places.calls.taking {
        let input = Pipe()
        let program = try Program(posternPath, ["call", "stdio:" + role] + arguments, scratch: scratch, input: input)
        try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        if !keepsOpen { try? input.fileHandleForWriting.close() }
        let ended = await program.ended()
        if keepsOpen { try? input.fileHandleForWriting.close() }
        return ended
    }
}

/// Writing to a process that has ended is an error, not the end of the tests.
let ignoreBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()
