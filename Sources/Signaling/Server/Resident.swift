import Synchronization

/// A peer of the server's own in a room: what is said to it, and its voice. It is joined already when it comes.
public final class Resident: Sendable {
    public let room: String
    /// What the server says and what passes through the room; ends when nobody is there to talk to any more.
    public let messages: AsyncStream<String>
    private let continuation: AsyncStream<String>.Continuation
    private let id: ConnectionID
    private let core: RoomServerCore
    private let isOver = Atomic(false)

    /// Messages that may wait to be looked at.
    static let capacity = 1_000

    init(room: String, id: ConnectionID, core: RoomServerCore) {
        self.room = room
        self.id = id
        self.core = core
        (messages, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.capacity))
    }

    /// Says something to the other, from any thread; to nobody after the end.
    public func send(_ text: String) {
        guard !isOver.load(ordering: .relaxed) else { return }
        core.loop.execute { [core, id] in core.receive(text, from: id) }
    }

    /// Gives up its place, from any thread.
    public func leave() { send(ClientMessage.leave.text) }

    /// `false` when too much waits.
    func deliver(_ text: String) -> Bool {
        if case .dropped = continuation.yield(text) { return false }
        return true
    }

    func end() {
        isOver.store(true, ordering: .relaxed)
        continuation.finish()
    }
}
