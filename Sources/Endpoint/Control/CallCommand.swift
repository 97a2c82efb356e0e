import Media
import Primitives

/// What can be asked of a call that goes on: a line of `--control`, or the end of an `--at`.
///
/// One verb and at most one argument, which goes to the end of the line:
///
///     hold | resume | mute [audio|video] | unmute [audio|video] | send SRC | add audio|video | remove audio|video
///     restart | keyframe | keys 0-9A-D*#, | hangup
public enum CallCommand: Hashable, Sendable {
    /// Nothing is sent or received until `resume`: every section becomes `inactive` (RFC 9429 §4.2.3).
    case hold
    case resume
    /// Frames of these kinds are not sent; no exchange, the stream has a gap.
    case mute(Set<MediaKind>)
    case unmute(Set<MediaKind>)
    /// Another source takes the place of the one that is sent, from its beginning.
    case send(String)
    /// A section of this kind for what the source has of it, and for what may come.
    case add(MediaKind)
    /// The sections of this kind are rejected.
    case remove(MediaKind)
    /// New ICE credentials; keys and media stay.
    case restart
    /// Asks the other side for a keyframe.
    case keyframe
    /// Telephone keys, as in `--send-dtmf`.
    case keys(String)
    case hangUp

    /// The longest line that is looked at, in bytes.
    public static let maximumLength = 4_096

    /// - Throws: `CallCommandError`, which says what is wrong and what to write.
    public init(parsing line: String) throws(CallCommandError) {
        guard line.utf8.count <= Self.maximumLength else {
            throw CallCommandError("a line of \(line.utf8.count) bytes; \(Self.maximumLength) are the most")
        }
        let words = line.split(maxSplits: 1, whereSeparator: \.isWhitespace)
        let verb = words.first.map { $0.lowercased() } ?? ""
        let argument = words.count > 1 ? Self.trimmed(words[1]) : ""
        func kind() throws(CallCommandError) -> MediaKind {
            guard let kind = MediaKind(rawValue: argument.lowercased()) else {
                throw CallCommandError("\(verb) \(argument)".shortened + ": write \(verb) audio or \(verb) video")
            }
            return kind
        }
        func kinds() throws(CallCommandError) -> Set<MediaKind> { argument.isEmpty ? [.audio, .video] : [try kind()] }
        switch verb {
        case "mute": self = .mute(try kinds())
        case "unmute": self = .unmute(try kinds())
        case "add": self = .add(try kind())
        case "remove": self = .remove(try kind())
        case "send":
            guard !argument.isEmpty, argument != "-" else {
                throw CallCommandError("send: name a media file, or test")
            }
            self = .send(argument)
        case "keys":
            guard let digits = Self.keys(argument) else {
                throw CallCommandError(
                    "keys \(argument)".shortened + ": write keys of 0-9 A-D * # and commas, a hundred at most")
            }
            self = .keys(digits)
        default:
            guard let command = Self.plain[verb] else {
                throw CallCommandError(
                    "'\(line.shortened)' is no command; there are \(Self.verbs.joined(separator: ", "))")
            }
            guard argument.isEmpty else {
                throw CallCommandError("\(verb) \(argument)".shortened + ": \(verb) takes nothing after it")
            }
            self = command
        }
    }

    /// Keys in capitals; `nil` for what are none.
    public static func keys(_ text: String) -> String? {
        let digits = text.uppercased()
        guard (1...100).contains(digits.count), digits.allSatisfy({ "0123456789ABCD*#,".contains($0) }) else {
            return nil
        }
        return digits
    }

    private static let plain: [String: CallCommand] = [
        "hold": .hold, "resume": .resume, "restart": .restart, "keyframe": .keyframe, "hangup": .hangUp,
    ]
    private static let verbs = [
        "hold", "resume", "mute", "unmute", "send", "add", "remove", "restart", "keyframe", "keys", "hangup",
    ]

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text.drop(while: \.isWhitespace))
    }
}

extension CallCommand: CustomStringConvertible {
    public var description: String {
        func list(_ kinds: Set<MediaKind>) -> String {
            kinds.count == MediaKind.allCases.count ? "" : kinds.map { " " + $0.rawValue }.sorted().joined()
        }
        return switch self {
        case .hold: "hold"
        case .resume: "resume"
        case .mute(let kinds): "mute" + list(kinds)
        case .unmute(let kinds): "unmute" + list(kinds)
        case .send(let source): "send \(source)"
        case .add(let kind): "add \(kind.rawValue)"
        case .remove(let kind): "remove \(kind.rawValue)"
        case .restart: "restart"
        case .keyframe: "keyframe"
        case .keys(let digits): "keys \(digits)"
        case .hangUp: "hangup"
        }
    }
}

/// A line that is no command, and what to write instead.
public struct CallCommandError: Error, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// A command and when in the call it is due.
public struct ScheduledCommand: Hashable, Sendable {
    public var command: CallCommand
    /// Since the call stood.
    public var after: TimeDelta

    public init(_ command: CallCommand, after: TimeDelta) {
        self.command = command
        self.after = after
    }
}

extension String {
    /// What of a line fits into a message.
    fileprivate var shortened: String { count > 80 ? prefix(80) + "…" : self }
}
