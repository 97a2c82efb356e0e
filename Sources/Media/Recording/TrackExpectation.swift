import Primitives

/// A track that a recording is to have: at most one of each kind.
public struct TrackExpectation: Sendable, Hashable {
    public var kind: MediaKind
    /// The negotiated codec. `nil` means VP8 or Opus, until the first frame says otherwise.
    public var codec: Codec?

    public init(_ kind: MediaKind, codec: Codec? = nil) {
        self.kind = kind
        self.codec = codec
    }
}
