import Primitives
import Signaling
import Synchronization

/// A place in a room of the server in this process.
final class ResidentTransport: SignalingTransport {
    let inputs: AsyncStream<SignalingInput>
    let isStrict = false
    private let resident: Resident
    private let task: Task<Void, Never>

    init(_ resident: Resident, reporter: any CallReporter) {
        self.resident = resident
        let (stream, continuation) = AsyncStream<SignalingInput>.makeStream(bufferingPolicy: .bufferingOldest(1_000))
        inputs = stream
        task = Task {
            var dialogue = RoomDialogue()
            for await text in resident.messages {
                for event in dialogue.take(text) {
                    switch event {
                    case .input(let input): continuation.yield(input)
                    case .joined: break
                    case .note(let text): reporter.log(.info, text)
                    case .refused(let code, let message):
                        continuation.yield(
                            .ended(CallSetupError("\(message) (\(code.rawValue))", status: .signaling)))
                    }
                }
            }
            // The guest is gone for good.
            continuation.yield(.peerLeft(reason: "left"))
            continuation.finish()
        }
    }

    func send(_ message: SignalingMessage) { resident.send(message.roomText) }

    func end() async {
        resident.send(SignalingMessage.bye.roomText)
        resident.leave()
        task.cancel()
    }
}
