import Foundation
import Glibc
import Locks
import Primitives

/// Where the commands to a running call come from: times told beforehand (`--at`), and the lines of a file, a named pipe or
/// standard input (`--control`).
///
/// Nothing is due before the call stands; lines that come earlier wait, a thousand at most. While more may come the end of
/// the source does not end the call: whoever says what to do says when to hang up, or `--duration` does. A named pipe
/// is open for as long as the call, whoever writes to it and goes.
final class CallControl: Sendable {
    private let scheduled: [ScheduledCommand]
    private let path: String?
    private let reporter: any CallReporter
    private let state: Locked<State>

    private struct State {
        var scheduledLeft: Int
        var isOpen: Bool
        /// Handed over and not carried out yet.
        var underWay = 0
        var log: [CarriedOut] = []
    }

    /// A command and what became of it.
    struct CarriedOut: Sendable {
        var command: CallCommand
        /// Since the call stood.
        var at: TimeDelta
        var isScheduled: Bool
        var failure: CallSetupError?
    }

    /// How many commands the report tells of.
    static let maximumLog = 1_000
    private static let maximumWaiting = 1_000

    init(scheduled: [ScheduledCommand], path: String?, reporter: any CallReporter) {
        self.scheduled = scheduled.sorted { $0.after < $1.after }
        self.path = path
        self.reporter = reporter
        state = Locked(State(scheduledLeft: scheduled.count, isOpen: path != nil))
    }

    /// Whether a command may still come, or is being carried out.
    var isPending: Bool { state.withLock { $0.scheduledLeft > 0 || $0.isOpen || $0.underWay > 0 } }
    var log: [CarriedOut] { state.withLock { $0.log } }

    /// Hands commands over when they are due.
    ///
    /// - Parameters:
    ///   - stands: waits until the call does; false when it never will.
    ///   - take: carries one out; commands come one after another.
    func start(
        clock: @escaping @Sendable () -> Instant, stands: @escaping @Sendable () async -> Bool,
        take: @escaping @Sendable (CallCommand) async -> CallSetupError?
    ) throws(CallSetupError) -> [Task<Void, Never>] {
        guard !scheduled.isEmpty || path != nil else { return [] }
        let (due, dueContinuation) = AsyncStream<Due>.makeStream(
            bufferingPolicy: .bufferingOldest(Self.maximumWaiting + scheduled.count))
        if let path { try readLines(of: path, to: dueContinuation) }
        return [
            Task { [self] in
                guard await stands() else { return }
                let stood = clock()
                let timer = Task {
                    for command in scheduled {
                        let left = command.after - (clock() - stood)
                        if left > .zero { try? await Task.sleep(for: .nanoseconds(left.nanoseconds)) }
                        if Task.isCancelled { return }
                        state.withLock { $0.scheduledLeft -= 1 }
                        hand(over: Due(command: command.command, isScheduled: true), to: dueContinuation)
                    }
                }
                for await next in due {
                    let at = clock() - stood
                    let failure = await take(next.command)
                    note(CarriedOut(command: next.command, at: at, isScheduled: next.isScheduled, failure: failure))
                }
                timer.cancel()
            }
        ]
    }

    private struct Due: Sendable {
        var command: CallCommand
        var isScheduled: Bool
    }

    private func hand(over due: Due, to continuation: AsyncStream<Due>.Continuation) {
        state.withLock { $0.underWay += 1 }
        guard case .dropped = continuation.yield(due) else { return }
        state.withLock { $0.underWay -= 1 }
        reporter.log(.error, "\(due.command): not done, \(Self.maximumWaiting) commands are waiting already")
    }

    private func note(_ done: CarriedOut) {
        if let failure = done.failure {
            reporter.log(.error, "\(done.command): \(failure)")
        } else {
            reporter.log(.info, "\(done.command)")
        }
        state.withLock { state in
            state.underWay -= 1
            if state.log.count < Self.maximumLog { state.log.append(done) }
        }
    }

    private func readLines(
        of path: String, to continuation: AsyncStream<Due>.Continuation
    ) throws(CallSetupError) {
        let file = try Self.open(path)
        let thread = Thread { [self] in
            LineReader.read(file, limit: CallCommand.maximumLength) { line in
                let text = line.drop(while: \.isWhitespace)
                guard !text.isEmpty, !text.hasPrefix("#") else { return }
                do throws(CallCommandError) {
                    hand(
                        over: Due(command: try CallCommand(parsing: String(text)), isScheduled: false), to: continuation
                    )
                } catch {
                    reporter.log(.error, "--control: \(error)")
                }
            }
            state.withLock { $0.isOpen = false }
        }
        thread.name = "postern-control"
        thread.start()
    }

    /// A named pipe is opened for both, so that it does not end when a writer goes, and needs none to begin.
    private static func open(_ path: String) throws(CallSetupError) -> FileHandle {
        if path == "-" { return .standardInput }
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw CallSetupError("--control \(path): \(errorText()); make it with mkfifo", status: .usage)
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw CallSetupError("--control \(path): it is a directory; name a file or a named pipe", status: .usage)
        }
        let isPipe = status.st_mode & S_IFMT == S_IFIFO
        let descriptor = unsafe Glibc.open(path, (isPipe ? O_RDWR : O_RDONLY) | O_CLOEXEC)
        guard descriptor >= 0 else { throw CallSetupError("--control \(path): \(errorText())", status: .usage) }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    private static func errorText() -> String { unsafe String(cString: strerror(errno)) }
}

extension CallControl {
    /// What was asked, for the report.
    var json: JSONValue {
        .array(
            log.map { done in
                .object([
                    .init("command", .string("\(done.command)")),
                    .init("time", JSONValue(rounded: done.at.seconds * 1000)),
                    .init("error", done.failure.map { .string("\($0)") } ?? .null),
                ])
            })
    }

    /// The first of the commands told beforehand that failed: the call did not do what its command line says.
    var diagnosis: Diagnosis? {
        guard let failed = log.first(where: { $0.isScheduled && $0.failure != nil }), let failure = failed.failure
        else { return nil }
        return Diagnosis("--at \(oneDecimal(failed.at.seconds))s \(failed.command): \(failure)", status: failure.status)
    }
}
