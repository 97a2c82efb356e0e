import Media
import Peer
import PeerIO
import Primitives
import SDP

/// What was asked of a running call and still holds: what is on hold, and what shall not come back.
///
/// Exchanges are not made here: a changed transceiver makes the connection want one, and who carries descriptions makes it
/// when the one under way is over.
struct CallWishes: Sendable {
    /// The directions to go back to.
    private var held: [TransceiverDescription.ID: MediaDirection] = [:]
    /// Kinds whose sections were removed by us: an offer of the other side's does not bring ours back.
    private(set) var removed: Set<MediaKind> = []

    mutating func carryOut(
        _ command: CallCommand, on connection: PeerConnection, of side: LivePeer, media: MediaFollower
    ) async throws {
        switch command {
        case .hold: try await hold(connection)
        case .resume: try await resume(connection)
        case .mute(let kinds): side.mute(kinds, true)
        case .unmute(let kinds): side.mute(kinds, false)
        case .send(let path):
            try await media.replaceSource(with: path)
            for kind in media.kinds where !removed.contains(kind) { try await add(kind, connection, media) }
        case .add(let kind):
            removed.remove(kind)
            try await add(kind, connection, media)
        case .remove(let kind): try await remove(kind, connection)
        case .restart: await connection.restartICE()
        case .keyframe: await connection.requestKeyframes()
        case .keys(let digits): try await connection.sendTelephoneEvents(digits)
        case .hangUp: media.hangUp()
        }
    }

    private mutating func hold(_ connection: PeerConnection) async throws {
        for transceiver in await connection.transceivers
        where !transceiver.isStopped && transceiver.direction != .inactive {
            held[transceiver.id] = transceiver.direction
            try await connection.setDirection(.inactive, of: transceiver.id)
        }
    }

    private mutating func resume(_ connection: PeerConnection) async throws {
        for transceiver in await connection.transceivers where !transceiver.isStopped {
            guard let direction = held[transceiver.id] else { continue }
            try await connection.setDirection(direction, of: transceiver.id)
        }
        held = [:]
    }

    /// A section that is there sends from now on, where there is something to send, and receives if nothing was sent on it; where
    /// there is none, one that goes both ways is made.
    private mutating func add(
        _ kind: MediaKind, _ connection: PeerConnection, _ media: MediaFollower
    ) async throws {
        let wanted = MediaDirection(sends: media.kinds.contains(kind), receives: true)
        let present = await connection.transceivers.first { $0.kind == kind && !$0.isStopped }
        guard let present else {
            try await connection.addTransceiver(kind, direction: wanted)
            return
        }
        let current = held[present.id] ?? present.direction
        let widened = MediaDirection(
            sends: current.sends || wanted.sends, receives: current.receives || !current.sends)
        // On hold it is what the hold ends with.
        if held[present.id] != nil {
            held[present.id] = widened
        } else if widened != current {
            try await connection.setDirection(widened, of: present.id)
        }
    }

    private mutating func remove(_ kind: MediaKind, _ connection: PeerConnection) async throws {
        removed.insert(kind)
        for transceiver in await connection.transceivers where transceiver.kind == kind && !transceiver.isStopped {
            held[transceiver.id] = nil
            try await connection.stopTransceiver(transceiver.id)
        }
    }
}
