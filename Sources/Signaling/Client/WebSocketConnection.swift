import NIOCore
import NIOPosix

/// A WebSocket that was opened by us. Messages in order; whole ones only.
public final class WebSocketConnection: Sendable {
    /// Ends with the connection.
    public let messages: AsyncStream<String>
    private let continuation: AsyncStream<String>.Continuation
    private let loop: any EventLoop
    private let handler: WebSocketHandler

    /// Messages that may wait to be looked at; beyond it the connection ends.
    static let capacity = 1_000

    init(loop: any EventLoop, limits: SignalingLimits) {
        self.loop = loop
        let (stream, continuation) = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingOldest(Self.capacity))
        messages = stream
        self.continuation = continuation
        let own = Weakly<WebSocketHandler>()
        handler = WebSocketHandler(
            role: .client, limits: limits,
            events: WebSocketHandler.Events(
                opened: { own.value = $0 },
                received: { text in
                    if case .dropped = continuation.yield(text) { own.value?.cut() }
                },
                exceeded: { excess in own.value?.close(excess == .tooLarge ? .messageTooLarge : .policyViolation) },
                ended: { _ in continuation.finish() }))
    }

    /// The handler for the channel, which it takes over.
    func attach(to channel: any Channel) throws { try channel.pipeline.syncOperations.addHandler(handler) }

    /// From any thread; what is said after the end is lost.
    public func send(_ text: String) { loop.execute { [handler] in handler.send(text) } }

    /// Says goodbye. `messages` ends when the other side has said it too, or soon after.
    public func close() { loop.execute { [handler] in handler.close(.normalClosure) } }

    /// Breaks it without a word, as a failing network does. For tests of what comes after.
    public func breakOff() { loop.execute { [handler] in handler.cut() } }
}

/// A reference that keeps nothing alive, of one event loop.
private final class Weakly<Value: AnyObject> {
    weak var value: Value?
}
