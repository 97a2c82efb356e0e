import DTLSSRTP
import Foundation
import Locks
import Media
import PeerIO
import Primitives
import Signaling

/// `postern serve`: rooms, the page, and with `--answer` this process as the other side of every room's call.
///
/// Answered calls share one I/O loop and one certificate; each has its own connection, sockets, encoders, recording and
/// report, and nothing it runs into reaches another. Encoders are threads: a source that is passed through costs one idle
/// thread a call, one that is encoded two busy ones.
public final class RoomService: Sendable {
    private let options: ServeOptions
    private let reporter: any CallReporter
    private let server: RoomServer
    private let shared: SharedResources?
    private let calls = Locked(Calls())
    /// Ends when the server has stopped.
    private let life: AsyncStream<Void>
    private let lifeContinuation: AsyncStream<Void>.Continuation

    private struct Calls {
        var sessions: [ObjectIdentifier: CallSession] = [:]
        var names: Set<String> = []
        var answered = 0
        var failed = 0
        var isStopping = false
    }

    private init(
        options: ServeOptions, reporter: any CallReporter, server: RoomServer, shared: SharedResources?
    ) {
        self.options = options
        self.reporter = reporter
        self.server = server
        self.shared = shared
        (life, lifeContinuation) = AsyncStream.makeStream()
    }

    /// Listens from now on. What is wrong with the source or the folder is told before anybody can call.
    public static func start(
        _ options: ServeOptions, reporter: any CallReporter
    ) async throws(CallSetupError) -> RoomService {
        if let problem = options.problem { throw CallSetupError(problem, status: .usage) }
        var configuration = RoomServerConfiguration()
        configuration.host = options.host
        configuration.port = options.port
        configuration.token = options.token
        configuration.origins = options.origins
        configuration.limits.rooms = options.rooms
        configuration.limits.connections = max(configuration.limits.connections, options.rooms * 2 + 100)
        configuration.hasResidents = options.answer != nil
        let shared = try await prepareAnswers(options, reporter: reporter)
        configuration.tls = try ServerCertificate.identity(for: options, reporter: reporter)
        do {
            let server = try await RoomServer.start(configuration, isLocalOnly: options.isLocalOnly)
            return RoomService(options: options, reporter: reporter, server: server, shared: shared)
        } catch {
            await shared?.loop.shutdown()
            throw CallSetupError(
                error.kind == .certificate ? "--tls-cert, --tls-key: \(error)" : "--listen: \(error)", status: .network)
        }
    }

    private static func prepareAnswers(
        _ options: ServeOptions, reporter: any CallReporter
    ) async throws(CallSetupError) -> SharedResources? {
        guard let answer = options.answer else { return nil }
        let session = CallSession(options: answer, reporter: reporter)
        do {
            try session.openSource()?.close()
            if let directory = options.directory {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
                guard FileManager.default.isWritableFile(atPath: directory) else {
                    throw CallSetupError("--record \(directory): permission denied", status: .recording)
                }
            }
            return SharedResources(
                loop: try session.makeLoop(), ownsLoop: false, certificate: try session.makeCertificate())
        } catch let error as CallSetupError {
            throw error
        } catch {
            throw CallSetupError(
                "--record \(options.directory ?? ""): the folder cannot be made: \(error.localizedDescription)",
                status: .recording)
        }
    }

    /// Where people go: `http://127.0.0.1:8099/`.
    public var pageURL: String {
        let scheme = options.certificate != nil || options.isSelfSigned ? "https" : "http"
        let host = IPAddress(server.host)?.isUnspecified ?? false ? "127.0.0.1" : server.host
        return "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(server.port)/"
    }

    /// Serves until `stop`, and until the calls that were answered have ended.
    public func run() async {
        await withDiscardingTaskGroup { group in
            for await resident in server.residents {
                group.addTask { await self.answer(resident) }
            }
        }
        for await _ in life {}
        await shared?.loop.shutdown()
        if options.answer != nil {
            let (answered, failed) = calls.withLock { ($0.answered, $0.failed) }
            reporter.log(.info, "answered \(answered) calls" + (failed == 0 ? "" : ", \(failed) of them failed"))
        }
    }

    /// Says goodbye to everybody; calls end politely.
    public func stop() async {
        let sessions: [CallSession]? = calls.withLock { calls in
            guard !calls.isStopping else { return nil }
            calls.isStopping = true
            return Array(calls.sessions.values)
        }
        // A second signal changes nothing: goodbyes are on their way, and bounded in time.
        guard let sessions else { return }
        for session in sessions { session.interrupt() }
        await server.stop()
        lifeContinuation.finish()
    }

    // MARK: One call

    private func answer(_ resident: Resident) async {
        guard var call = options.answer, let shared else { return resident.leave() }
        let name = reserveName(for: resident.room)
        defer { calls.withLock { _ = $0.names.remove(name) } }
        let base = options.directory.map { $0 + "/" + name }
        call.record = base.map { $0 + ".webm" }
        let prefixed = RoomReporter(room: resident.room, reporter: reporter)
        let session = CallSession(options: call, reporter: prefixed)
        let isStopping = calls.withLock { calls in
            calls.sessions[ObjectIdentifier(session)] = session
            return calls.isStopping
        }
        if isStopping { session.interrupt() }
        defer { calls.withLock { _ = $0.sessions.removeValue(forKey: ObjectIdentifier(session)) } }
        do {
            let outcome = try await session.runSignaled(ResidentPlan(resident: resident), kind: "room", shared: shared)
            // A guest that came and went without an offer is no call.
            guard outcome.report["signaling"]?["offered"].map({ $0 != .null }) ?? false else { return }
            note(outcome.status)
            for line in outcome.summary { prefixed.log(outcome.status == .success ? .info : .error, line) }
            if let base {
                try Data((outcome.report.pretty + "\n").utf8).write(to: URL(fileURLWithPath: base + ".json"))
            }
        } catch {
            note(.unexpected)
            prefixed.log(.error, "\(error)")
            resident.leave()
        }
    }

    private func note(_ status: ExitStatus) {
        calls.withLock { calls in
            calls.answered += 1
            if status != .success { calls.failed += 1 }
        }
    }

    /// The room and the time; a number more where two calls of a room begin in one second.
    private func reserveName(for room: String) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyyMMdd-HHmmss"
        let stem = "\(room)-\(formatter.string(from: Date()))"
        return calls.withLock { calls in
            var name = stem
            var number = 2
            while calls.names.contains(name) || exists(name) {
                name = "\(stem)-\(number)"
                number += 1
            }
            calls.names.insert(name)
            return name
        }
    }

    private func exists(_ name: String) -> Bool {
        guard let directory = options.directory else { return false }
        return [".webm", ".json"].contains { FileManager.default.fileExists(atPath: "\(directory)/\(name)\($0)") }
    }
}

/// Says which room a line is about; the status lines of many calls would only flicker.
private final class RoomReporter: CallReporter {
    private let room: String
    private let reporter: any CallReporter

    init(room: String, reporter: any CallReporter) {
        self.room = room
        self.reporter = reporter
    }

    func log(_ level: CallLogLevel, _ message: String) { reporter.log(level, "room \(room): \(message)") }
    func status(_ status: CallStatus) {}
}
