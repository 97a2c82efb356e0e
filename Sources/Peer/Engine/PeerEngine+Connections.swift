import ICE
import Primitives

/// TCP connections (RFC 6544): what a driver tells of those it makes and accepts.
extension PeerEngine {
    /// A connection of `PeerEvent.connectionWanted` stands; `local` is its address on our side.
    public mutating func connected(
        _ path: NetworkPath, from local: TransportAddress?, at now: Instant, into out: inout Output
    ) {
        ice.connected(path, from: local, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    /// A connection could not be made or has ended, also one that was accepted.
    public mutating func disconnected(
        _ path: NetworkPath, reason: String, at now: Instant, into out: inout Output
    ) {
        ice.disconnected(path, reason: reason, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    /// Packets that a connection's queue had no room for: late media is worse than lost media, and the driver dropped them.
    public mutating func noteDiscarded(_ path: NetworkPath, packets: Int, bytes: Int) {
        guard discards[path] != nil || discards.count < Self.maximumDiscardPaths else { return }
        discards[path, default: Discards()].packets += packets
        discards[path, default: Discards()].bytes += bytes
    }

    private static let maximumDiscardPaths = 64
}

/// W3C webrtc-stats RTCIceCandidatePairStats: packetsDiscardedOnSend, bytesDiscardedOnSend.
struct Discards: Hashable, Sendable {
    var packets = 0
    var bytes = 0
}
