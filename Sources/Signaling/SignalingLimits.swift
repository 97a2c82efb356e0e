import Primitives

/// What signalling may cost (invariant 5). The defaults hold a room of two browsers with much to spare.
public struct SignalingLimits: Hashable, Sendable {
    /// Longest message, in bytes: descriptions of browsers are 5 to 20 kB.
    public var messageBytes = 256 * 1024
    /// Frames a message may be cut into.
    public var fragments = 256
    /// Rooms in use at a time.
    public var rooms = 100
    /// TCP connections open at a time, whatever they are there for.
    public var connections = 1_000
    /// Messages at once, and a second after that.
    public var burst = 200
    public var messagesPerSecond = 50
    /// Bytes of messages at once, and a second after that: reading them is what a flood would cost the others.
    public var burstBytes = 2 << 20
    public var bytesPerSecond = 128 * 1024
    /// Malformed messages; the one that reaches this is fatal.
    public var malformed = 10
    /// What may wait for a peer that is away or does not read.
    public var waitingMessages = 512
    public var waitingBytes = 1 << 20
    /// What the kernel may keep for a peer that does not read, before it counts as waiting.
    public var sendBuffer = 256 * 1024
    /// From the connection to the end of the request's head, TLS included, and to the end of the answer.
    public var requestTime = TimeDelta.seconds(10)
    public var requestBytes = 32 * 1024
    /// From the WebSocket's opening to `join`.
    public var joinTime = TimeDelta.seconds(5)
    /// How long a place is held for a peer whose connection broke.
    public var resumeTime = TimeDelta.seconds(10)
    /// A ping is sent this often.
    public var pingInterval = TimeDelta.seconds(10)
    /// A connection on which nothing came for this long is dead.
    public var silence = TimeDelta.seconds(25)
    /// From our close frame to the end of the connection, whatever the other side does.
    public var closeTime = TimeDelta.seconds(2)

    public init() {}
}
