import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket

/// What one signalling connection may cost (invariant 5). The defaults hold a room of two browsers with much to spare.
public struct SignalingLimits: Hashable, Sendable {
    /// Longest message, in bytes: descriptions of browsers are 5 to 20 kB.
    public var messageBytes = 256 * 1024

    public init() {}
}
