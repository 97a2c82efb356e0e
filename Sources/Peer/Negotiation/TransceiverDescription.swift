import Primitives
import SDP

/// What one transceiver wants, and what was agreed for it.
public struct TransceiverDescription: Hashable, Sendable, Identifiable {
    public struct ID: Hashable, Sendable {
        public var rawValue: Int
        public init(_ rawValue: Int) { self.rawValue = rawValue }
    }
    public let id: ID
    public let kind: MediaKind
    /// What we want, from our view.
    public internal(set) var direction: MediaDirection
    /// What was negotiated last, from our view; `nil` before.
    public internal(set) var currentDirection: MediaDirection?
    /// `nil` until a description with it was set.
    public internal(set) var mid: String?
    /// The index of its `m=` section.
    public internal(set) var mediaIndex: Int?
    /// Stopped by us: the next description rejects its section, after which it is gone.
    public internal(set) var isStopped = false
    /// Whether a remote offer made it. Rolling that offer back removes it.
    public internal(set) var isFromRemoteOffer: Bool
    /// The two parts of our `a=msid`.
    public let streamID: String
    public let trackID: String
    public internal(set) var ssrc: SSRC
    /// Video only (RFC 4588).
    public let retransmissionSSRC: SSRC?
    /// Codecs to use, most wanted first; empty for all we do.
    public internal(set) var codecPreferences: [Codec]
    /// What was agreed, once stable.
    public internal(set) var negotiated: NegotiatedMedia?

    /// The direction our last description had for it.
    var writtenDirection: MediaDirection?
    /// When that was an answer: what the offer allowed, from our view.
    var offeredDirection: MediaDirection?
    /// Whether an exchange that was agreed on named our sources. They stay named while nothing is sent (RFC 9429 §5.2.2):
    /// Chromium drops the stream of a section without them, and shows nothing of what comes after the hold.
    var isAnnounced = false
}

extension TransceiverDescription {
    /// Whether a new exchange would change something for it.
    var needsNegotiation: Bool {
        guard mediaIndex != nil, let written = writtenDirection else { return !isStopped }
        if isStopped { return true }
        return (offeredDirection.map { direction.intersection($0) } ?? direction) != written
    }
}
