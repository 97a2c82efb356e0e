import ArgumentParser
import Dispatch
import Endpoint
import Foundation

/// Runs a call with everything around it: signals, messages for people, the report, the exit code.
func finish(
    _ options: CallOptions, _ flags: CallFlags, _ run: (CallSession) async throws -> CallOutcome
) async throws {
    let terminal = Terminal(level: flags.logLevel)
    try checkReport(flags.report, terminal)
    let session = CallSession(options: options, reporter: terminal)
    // A reader that has gone away is an error of the write, not a reason to die without a report.
    signal(SIGPIPE, SIG_IGN)
    // Likewise a file that may grow no further (ulimit -f): the recording ends with an error that can be told.
    signal(SIGXFSZ, SIG_IGN)
    let sources = interrupting(session)
    defer { for source in sources { source.cancel() } }

    let outcome: CallOutcome
    do {
        outcome = try await run(session)
    } catch let error as CallSetupError {
        terminal.endStatusLine()
        terminal.log(.error, "\(error)")
        try writeReport(
            [
                "schema": "postern-report/1", "outcome": "failed", "error": .string("\(error)"),
                "exitCode": .integer(Int64(error.status.rawValue)),
            ], to: flags.report, terminal)
        throw ExitCode(error.status.rawValue)
    }
    terminal.endStatusLine()
    for line in outcome.summary { terminal.log(outcome.status == .success ? .info : .error, line) }
    try writeReport(outcome.report, to: flags.report, terminal)
    if outcome.status != .success { throw ExitCode(outcome.status.rawValue) }
}

/// Writes data for scripts to standard output. A reader that has gone away has what it wanted.
func write(_ text: String) { try? FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8)) }

/// Lets SIGINT and SIGTERM end a session politely, until the sources are cancelled.
func interrupting(_ session: CallSession) -> [any DispatchSourceSignal] {
    [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        source.setEventHandler { session.interrupt() }
        source.resume()
        return source
    }
}

/// A report that cannot be written is told before the call, not after it.
private func checkReport(_ path: String?, _ terminal: Terminal) throws {
    guard let path, path != "-" else { return }
    let type = try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let problem: String? =
        if type == .typeDirectory {
            "it is a directory; name a file in it"
        } else if !FileManager.default.fileExists(atPath: folder) {
            "there is no directory \(folder); make it first"
        } else if !FileManager.default.isWritableFile(atPath: type == nil ? folder : path) {
            "permission denied; choose a path you may write to"
        } else {
            nil
        }
    guard let problem else { return }
    terminal.log(.error, "--report \(path): \(problem)")
    throw ExitCode(ExitStatus.recording.rawValue)
}

private func writeReport(_ report: JSONValue, to path: String?, _ terminal: Terminal) throws {
    guard let path else { return }
    let text = Data((report.pretty + "\n").utf8)
    do {
        if path == "-" {
            try FileHandle.standardOutput.write(contentsOf: text)
        } else {
            try text.write(to: URL(fileURLWithPath: path))
        }
    } catch {
        terminal.log(.error, "--report \(path): \(error.localizedDescription)")
        throw ExitCode(ExitStatus.recording.rawValue)
    }
}
