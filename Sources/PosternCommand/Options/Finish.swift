import ArgumentParser
import Dispatch
import Endpoint
import Foundation

/// Runs a call with everything around it: signals, messages for people, the report, the exit code.
func finish(
    _ options: CallOptions, _ flags: CallFlags, _ run: (CallSession) async throws -> CallOutcome
) async throws {
    let terminal = Terminal(level: flags.logLevel)
    let session = CallSession(options: options, reporter: terminal)
    // A reader that has gone away is an error of the write, not a reason to die without a report.
    signal(SIGPIPE, SIG_IGN)
    // Likewise a file that may grow no further (ulimit -f): the recording ends with an error that can be told.
    signal(SIGXFSZ, SIG_IGN)
    let sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        source.setEventHandler { session.interrupt() }
        source.resume()
        return source
    }
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

private func writeReport(_ report: JSONValue, to path: String?, _ terminal: Terminal) throws {
    guard let path else { return }
    let text = Data((report.pretty + "\n").utf8)
    do {
        if path == "-" {
            try FileHandle.standardOutput.write(contentsOf: text)
        } else {
            try text.write(to: URL(fileURLWithPath: path), options: .atomic)
        }
    } catch {
        terminal.log(.error, "--report \(path): \(error.localizedDescription)")
        throw ExitCode(ExitStatus.recording.rawValue)
    }
}
