import DTLSSRTP
import Foundation
import ICE
import Locks
import Media
import Peer
import Primitives
import SDP
import Synchronization

/// Messages for people while a call goes on. Called from any thread.
public protocol CallReporter: AnyObject, Sendable {
    func log(_ level: CallLogLevel, _ message: String)
    /// About once a second while the call stands.
    func status(_ status: CallStatus)
}

public enum CallLogLevel: Int, Sendable, Comparable {
    case error
    case info
    case debug
    public static func < (a: CallLogLevel, b: CallLogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// One line's worth of a running call.
public struct CallStatus: Sendable {
    public var time: TimeDelta
    public var state: String
    public var bitrateOut: Int
    public var bitrateIn: Int
    public var framesPerSecondIn: Double
    public var framesPerSecondOut: Double
    public var lossFraction: Double
    public var roundTripMilliseconds: Double?
    public var pair: String?
}

/// What a call of the command line came to.
public struct CallOutcome: Sendable {
    public var report: JSONValue
    public var status: ExitStatus
    /// Lines for people: what happened, where the files are, what did not hold.
    public var summary: [String]
}

/// A call that could not even begin, with its exit code.
public struct CallSetupError: Error, CustomStringConvertible {
    public var description: String
    public var status: ExitStatus

    public init(_ description: String, status: ExitStatus) {
        self.description = description
        self.status = status
    }
}

/// One run of the command line: opens what is to be sent and recorded, holds the call, reports.
///
/// The kinds of call are in extensions: `runLoopback`, `runStdio` and `runRoom` over sockets, `runVirtualLoopback` in simulated time.
public final class CallSession: Sendable {
    public let options: CallOptions
    let reporter: any CallReporter
    private let interruptions = Atomic<Int>(0)
    /// What is sent; `options.send` until another source takes its place.
    let sourcePath: Locked<String?>
    /// The address mapping with the names of its rules looked up.
    let mapping = Locked(AddressMapping.identity)

    public init(options: CallOptions, reporter: any CallReporter) {
        self.options = options
        self.reporter = reporter
        sourcePath = Locked(options.send)
        mapping.withLock { $0 = options.network.mapping }
    }

    /// Asks the call to end politely, as a signal does. From any thread.
    public func interrupt() { interruptions.add(1, ordering: .relaxed) }
    var isInterrupted: Bool { interruptions.load(ordering: .relaxed) > 0 }

    // MARK: What every kind of call needs

    /// Opens the source once to learn what it holds, before anything else is done: a bad file fails the command at once.
    /// - Parameter audio: how the other side wants its audio, once it has said so.
    func openSource(tracks: Set<MediaKind>? = nil, audio: AudioSendParameters? = nil) throws -> (any MediaSource)? {
        guard let path = sourcePath.withLock({ $0 }) else { return nil }
        var source = SourceOptions()
        if let tracks { source.tracks = tracks }
        source.videoSize = options.media.videoSize.map { VideoSize($0.width, $0.height) }
        source.fps = options.media.framesPerSecond
        if let rate = options.media.videoBitrate { source.videoBitrate = rate }
        if let rate = options.media.audioBitrate { source.audioBitrate = rate }
        source.passthrough = options.media.passthrough
        source.loop = options.media.loop
        source.dtx = options.media.dtx
        audio?.apply(to: &source)
        source.inputFormat = options.media.inputFormat
        do {
            return try MediaSources.open(path, options: source)
        } catch {
            throw CallSetupError("--send \(error)", status: .mediaInput)
        }
    }

    /// - Parameter allowsMore: whether other kinds may come later, which then need their place in the file.
    func openRecording(kinds: [String: MediaKind], allowsMore: Bool = false) throws -> RecordingSession? {
        guard let path = options.record else { return nil }
        do {
            return try RecordingSession(path: path, kinds: kinds, later: allowsMore ? held(path) : [])
        } catch {
            throw CallSetupError("--record \(error)", status: .recording)
        }
    }

    /// The kinds of media a file of this name can hold.
    private func held(_ path: String) -> Set<MediaKind> {
        guard let format = RecordingFormat(path: path) else { return [] }
        return Set(([.opus, .vp8] as [Codec]).filter { format.holds($0) }.map(\.kind))
    }

    /// The kinds of media a source brings, in the order of their m-sections.
    func kinds(of source: (any MediaSource)?) -> [MediaKind] {
        guard let description = source?.description_ else { return [] }
        return (description.audio == nil ? [] : [.audio]) + (description.video == nil ? [] : [.video])
    }

    func peerConfiguration(role: ICERole, certificate: Certificate) -> PeerConfiguration {
        var configuration = PeerConfiguration(role: role, certificate: certificate)
        let audio = audioBitrate
        configuration.bitrates.start = videoBitrate + audio
        configuration.bitrates.maximum = max(2_000_000, (videoBitrate + audio) * 2)
        applyNetwork(to: &configuration)
        configuration.logsKeys = ProcessInfo.processInfo.environment["SSLKEYLOGFILE"].map { !$0.isEmpty } ?? false
        return configuration
    }

    var audioBitrate: Int { options.media.audioBitrate ?? 48_000 }
    var videoBitrate: Int { options.media.videoBitrate ?? 1_000_000 }

    // MARK: The end

    /// Joins the reports of the call's peers, checks the expectations and picks the exit code.
    func conclude(_ reports: [CallReport], kind: String, setupError: CallSetupError? = nil) -> CallOutcome {
        guard let main = reports.last else {
            let error = setupError ?? CallSetupError("nothing was done", status: .unexpected)
            return CallOutcome(report: ["outcome": "failed"], status: error.status, summary: ["\(error)"])
        }
        var members: [JSONValue.Member] = [.init("schema", "postern-report/1"), .init("call", .string(kind))]
        let own = main.json
        if case .object(let list) = own {
            // Of a call with two peers here, the receiving one speaks for the call; both are under `peers`.
            members += reports.count == 1 ? list : list.filter { $0.name != "stats" && $0.name != "role" }
        }
        if reports.count > 1 {
            for index in members.indices {
                switch members[index].name {
                case "timings": members[index].value = CallReport.merged(reports.map(\.timings))
                case "audio", "video":
                    members[index].value = mediaSummary(
                        members[index].name == "audio" ? .audio : .video, of: reports.flatMap(\.statistics.objects),
                        over: main.duration)
                default: break
                }
            }
            members.append(.init("peers", .object(reports.map { .init($0.role, $0.json) })))
        }
        let diagnosis = reports.lazy.compactMap(\.diagnosis).first
        if let diagnosis, main.diagnosis == nil {
            members.removeAll { $0.name == "diagnosis" }
            members.append(.init("diagnosis", diagnosis.json))
        }
        var status = diagnosis?.status ?? .success
        if status == .success, reports.contains(where: { $0.mediaFailure != nil }) { status = .mediaInput }
        // A recording asked for that does not exist in the end is a failure, whoever's fault it was.
        if status == .success, reports.contains(where: { $0.recordingFailure != nil || $0.recording?.isEmpty == true })
        {
            status = .recording
        }
        if status == .success, reports.contains(where: { $0.eventsFailure != nil }) { status = .recording }

        let results = options.expectations.map { $0.evaluate(on: .object(members)) }
        members.append(
            .init(
                "expectations",
                .array(
                    results.map { result in
                        .object([
                            .init("expectation", .string(result.expectation)), .init("held", .bool(result.held)),
                            .init("actual", result.actual ?? .null), .init("reason", .string(result.reason)),
                        ])
                    })))
        if status == .success, results.contains(where: { !$0.held }) { status = .expectation }
        members.append(.init("exitCode", .integer(Int64(status.rawValue))))

        return CallOutcome(
            report: .object(members), status: status,
            summary: summary(reports, diagnosis: diagnosis, results: results))
    }

    private func summary(
        _ reports: [CallReport], diagnosis: Diagnosis?, results: [ExpectationResult]
    ) -> [String] {
        var lines: [String] = []
        for report in reports {
            var parts = ["\(report.role): \(report.outcome)"]
            if let setup = report.journal.setupMilliseconds { parts.append("set up in \(oneDecimal(setup)) ms") }
            for (kind, totals) in report.sent.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                parts.append("sent \(totals.frames) \(kind.rawValue) frames, \(oneDecimal(totals.end.seconds)) s")
            }
            lines.append(parts.joined(separator: "; "))
            if let recording = report.recording {
                let tracks = recording.tracks.map { track in
                    "\(track.codec?.rawValue ?? track.kind.rawValue) \(oneDecimal(track.duration.seconds)) s, \(track.frames) frames"
                        + (track.gapCount == 0 ? "" : ", \(track.gapCount) gaps")
                }
                lines.append(
                    recording.isEmpty
                        ? "nothing was recorded: there is no \(recording.path)"
                        : "recorded \(recording.path): " + tracks.joined(separator: "; "))
                lines += recording.notes.map { "  " + $0 }
                if recording.isEmpty {
                    lines += Set(report.journal.refusedStreams).sorted().prefix(3).map { "  refused: " + $0 }
                }
            }
            if let failure = report.recordingFailure { lines.append("recording: \(failure)") }
            if let failure = report.mediaFailure { lines.append("source: \(failure)") }
            if let failure = report.eventsFailure { lines.append(failure) }
        }
        if let diagnosis {
            lines.append(diagnosis.sentence)
            lines += diagnosis.facts.map { "  " + $0 }
        }
        lines += results.filter { !$0.held }.map { "expectation not met: \($0.expectation) (\($0.reason))" }
        return lines
    }
}

func oneDecimal(_ value: Double) -> String { String(format: "%.1f", value) }
