import Primitives

/// What a recording is written as, chosen by the file name's extension.
///
/// | extension | video | audio |
/// |---|---|---|
/// | .webm | VP8, copied | Opus, copied |
/// | .mkv | VP8, copied | Opus, PCMU, PCMA, copied |
/// | .mp4 | H.264, encoded anew: no FFmpeg writes VP8 into MP4 | Opus, copied |
/// | .ogg .opus | | Opus, copied; gaps are filled with empty packets (RFC 7845 §4.1) |
/// | .wav | | 16-bit PCM, decoded; gaps are silence |
/// | .y4m | raw 4:2:0, decoded, one size, constant rate | |
/// | `null:` or /dev/null | counted only | counted only |
public enum RecordingFormat: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case webm
    case matroska = "mkv"
    case mp4
    case ogg
    case wave = "wav"
    case y4m
    case null

    static let extensions = ".webm .mkv .mp4 .ogg .wav .y4m"

    public init?(path: String) {
        if path == "null:" || path == "/dev/null" {
            self = .null
            return
        }
        let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
        switch name[name.index(after: dot)...].lowercased() {
        case "webm": self = .webm
        case "mkv", "mka": self = .matroska
        case "mp4", "m4a": self = .mp4
        case "ogg", "opus", "oga": self = .ogg
        case "wav": self = .wave
        case "y4m": self = .y4m
        default: return nil
        }
    }

    public var description: String { self == .null ? "the null sink" : "." + rawValue }

    /// Whether frames of this codec can go into such a file.
    public func holds(_ codec: Codec) -> Bool {
        switch (self, codec) {
        case (_, .telephoneEvent), (_, .comfortNoise): false
        case (.null, _): true
        case (.webm, .vp8), (.matroska, .vp8), (.y4m, .vp8), (.mp4, .vp8): true
        case (.webm, .opus), (.matroska, .opus), (.mp4, .opus), (.ogg, .opus), (.wave, .opus): true
        case (.matroska, .pcmu), (.matroska, .pcma), (.wave, .pcmu), (.wave, .pcma): true
        default: false
        }
    }

    func holds(_ kind: MediaKind) -> Bool { Codec.allCases.contains { $0.kind == kind && holds($0) } }
}
