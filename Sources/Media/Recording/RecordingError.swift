/// Why a recording cannot be made or goes on no further. What was recorded before stays in the file and can be played.
public struct RecordingError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Reason: Sendable, Hashable {
        case unknownExtension
        /// No track was asked for that the container can hold.
        case nothingToRecord
        case folderMissing
        case notPermitted
        case isFolder
        case fileExists
        case diskFull
        /// The size limit of the process or of the file system.
        case fileTooLarge
        case inputOutput(code: Int32)
        /// FFmpeg refused; the detail is its own.
        case container
        /// A frame after `finish()`.
        case finished
    }

    public var reason: Reason
    public var path: String
    public var detail: String
    /// What the user can do.
    public var advice: String

    public init(_ reason: Reason, path: String, detail: String, advice: String) {
        self.reason = reason
        self.path = path
        self.detail = detail
        self.advice = advice
    }

    public var description: String { "\(path): \(detail); \(advice)" }
}

extension RecordingError {
    static func unknownExtension(_ path: String) -> RecordingError {
        RecordingError(
            .unknownExtension, path: path, detail: "the name's extension says no format that can be recorded",
            advice: "end it in \(RecordingFormat.extensions)")
    }

    static func nothingToRecord(_ path: String, _ format: RecordingFormat) -> RecordingError {
        RecordingError(
            .nothingToRecord, path: path, detail: "\(format) holds none of the tracks to be recorded",
            advice: "record to .webm or .mkv")
    }

    static func container(_ path: String, _ detail: String) -> RecordingError {
        RecordingError(.container, path: path, detail: detail, advice: "record to .webm or .mkv")
    }

    static func finished(_ path: String) -> RecordingError {
        RecordingError(.finished, path: path, detail: "the recording is finished", advice: "start another")
    }
}
