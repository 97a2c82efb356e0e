/// Why a media file, pipe or synthetic source cannot be used (any further).
public struct MediaError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        case notFound
        /// No permission, or reading failed; the details say how.
        case unreadable
        case isDirectory
        /// A file of no bytes.
        case empty
        /// No container FFmpeg knows.
        case unknownFormat
        /// The container or all frames of a track are damaged.
        case corrupt
        /// The file ends before its media do.
        case truncated
        /// There is media, but none of the kinds asked for.
        case noUsableTrack
        /// No decoder for this codec.
        case unknownCodec(String)
        /// Frames were to be sent as they are, but the file holds this codec.
        case passthroughUnavailable(found: String)
        /// To loop, the input must be a file.
        case notRepeatable
        case invalidOption
        case decoderFailed
        case encoderFailed
        /// The source was closed.
        case closed
    }

    public var kind: Kind
    public var path: String
    /// One sentence: what is wrong.
    public var message: String
    /// One sentence: what to do about it. Empty where there is nothing to say.
    public var advice: String
    /// What FFmpeg itself logged, oldest first, at most 16 lines.
    public var details: [String]

    public init(_ kind: Kind, path: String, _ message: String, advice: String = "", details: [String] = []) {
        self.kind = kind
        self.path = path
        self.message = message
        self.advice = advice
        self.details = details
    }

    public var description: String {
        var text = path.isEmpty ? message : "\(path): \(message)"
        if !advice.isEmpty { text += " \(advice)" }
        if let last = details.last { text += " (FFmpeg: \(last))" }
        return text
    }
}
