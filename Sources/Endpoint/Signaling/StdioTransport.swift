import Foundation
import Locks

/// Signalling by JSON lines: ours on standard output, the other side's on standard input.
final class StdioTransport: SignalingTransport {
    let inputs: AsyncStream<SignalingInput>
    let isStrict = true
    private let output = Locked(())

    /// - Parameter offers: whether we begin. Who begins is the impolite one.
    init(offers: Bool) {
        let (stream, continuation) = AsyncStream<SignalingInput>.makeStream(bufferingPolicy: .bufferingOldest(1_000))
        inputs = stream
        continuation.yield(.peerPresent(offers: offers, polite: !offers, isBack: false))
        let thread = Thread {
            LineReader.read(.standardInput, limit: SignalingMessage.maximumLine) { line in
                guard !line.allSatisfy(\.isWhitespace) else { return }
                do throws(SignalingError) {
                    continuation.yield(.message(try SignalingMessage(parsing: line)))
                } catch {
                    continuation.yield(.malformed(error))
                }
            }
            continuation.finish()
        }
        thread.name = "postern-stdin"
        thread.start()
    }

    func send(_ message: SignalingMessage) {
        output.withLock { _ in
            try? FileHandle.standardOutput.write(contentsOf: Data((message.line + "\n").utf8))
        }
    }

    func end() async { send(.bye) }
}
