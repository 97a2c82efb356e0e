import Primitives

/// A short burst at a rate above the estimate, to see whether the network carries it.
public struct Probe: Hashable, Sendable {
    public var id: Int
    /// Bits per second at which its packets are to leave.
    public var bitrate: Int
    /// It ends when both are sent.
    public var minimumBytes: Int
    public var minimumPackets: Int

    /// 15 ms at `bitrate`, and five packets at least.
    public init(id: Int, bitrate: Int) {
        self.id = id
        self.bitrate = Swift.max(1_000, bitrate)
        minimumBytes = self.bitrate / 8 * 15 / 1_000
        minimumPackets = 5
    }
}
