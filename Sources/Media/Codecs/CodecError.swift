/// What a codec says of one frame or of its configuration. No error here ends the codec: the next frame may be fine.
public struct CodecError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: String, Sendable, Hashable {
        /// The configuration or the shape of the raw frame is not one this codec can do.
        case invalidConfiguration
        case encodingFailed
        /// The bytes are no frame of this codec, or a damaged one.
        case corruptFrame
        /// A decoder that has no picture to build on: ask the sender for a keyframe.
        case needsKeyframe
        /// The frame asks for more pixels or samples than the decoder was allowed.
        case tooLarge
    }

    public var kind: Kind
    public var detail: String

    public init(_ kind: Kind, _ detail: String) {
        self.kind = kind
        self.detail = detail
    }

    public var description: String { "\(kind.rawValue): \(detail)" }
}
