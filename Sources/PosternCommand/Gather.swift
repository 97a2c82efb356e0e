import ArgumentParser
import Endpoint
import Foundation

/// The Trickle ICE page in a terminal.
struct Gather: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say which candidates there are, and whether STUN and TURN servers work.",
        discussion: """
            Candidates are listed as they come; then each server gets a verdict. Through each relay a packet is sent and \
            sent back. The exit code is 0 when every server works (or every type of --require came), 20 when one does not, \
            30 when a required type is missing. Docs/coturn.md has a table of symptoms.

            Examples:
              postern gather --ice-server stun:stun.example.org
              POSTERN_TURN_PASSWORD=… postern gather --ice-server turn:turn.example.org --turn-user alice --require relay
            """)

    @Option(
        help: ArgumentHelp(
            "Candidate types there have to be, such as srflx,relay; then only they decide on the exit code.",
            valueName: "types"))
    var require: String?

    @Flag(help: "Write the result as JSON to standard output, in place of the table.")
    var json = false

    @Option(help: ArgumentHelp("Give up waiting for servers after this time.", valueName: "s"))
    var timeout: String = "10s"

    @Option(help: ArgumentHelp("quiet, error, info or debug.", valueName: "level"))
    var logLevel: LogLevel = .info

    @OptionGroup(title: "Network") var network: NetworkFlags

    func validate() throws { _ = try plan() }

    private func plan() throws -> (CallOptions, GatherPlan) {
        var plan = GatherPlan()
        plan.limit = try parseDuration(timeout, flag: "--timeout")
        for type in (require ?? "").split(separator: ",").map({ $0.trimmingCharacters(in: .whitespaces) }) {
            guard ["host", "srflx", "relay"].contains(type) else {
                throw ValidationError("--require \(type): write host, srflx or relay, separated by commas")
            }
            plan.required.append(type)
        }
        return (try CallOptions(gathering: network), plan)
    }

    func run() async throws {
        let (options, plan) = try self.plan()
        let terminal = Terminal(level: logLevel)
        signal(SIGPIPE, SIG_IGN)
        let session = CallSession(options: options, reporter: terminal)
        let sources = interrupting(session)
        defer { for source in sources { source.cancel() } }
        if !json { write(GatherTable.heading) }
        let result: GatherResult
        do {
            result = try await session.runGather(plan) { [json] candidate in
                if !json { write(GatherTable.line(candidate)) }
            }
        } catch let error as CallSetupError {
            terminal.log(.error, "\(error)")
            if json {
                write(
                    (["schema": "postern-gather/1", "error": .string("\(error)")] as JSONValue).pretty)
            }
            throw ExitCode(error.status.rawValue)
        }
        if json {
            write(result.json.pretty)
        } else {
            if !result.servers.isEmpty { write("") }
            for server in result.servers { write("\(server.works ? "ok  " : "FAIL")  \(server.url)  \(server.text)") }
            for type in result.missing { write("FAIL  required: no \(type) candidate came") }
        }
        if result.status != .success { throw ExitCode(result.status.rawValue) }
    }
}

/// Candidates in columns.
private enum GatherTable {
    static let heading = row("time", "type", "proto", "address", "port", "priority", "found.", "related", "server")

    static func line(_ candidate: GatheredCandidate) -> String {
        row(
            String(format: "%.3f", candidate.after.seconds), candidate.type, "udp", "\(candidate.address.ip)",
            "\(candidate.address.port)", priority(candidate.priority), candidate.foundation,
            candidate.related.map { "\($0)" } ?? "", candidate.url ?? "")
    }

    /// Type, local preference and component, as the Trickle ICE page has them.
    private static func priority(_ value: UInt32) -> String {
        "\(value >> 24)|\(value >> 8 & 0xFFFF)|\(256 - (value & 0xFF))"
    }

    private static func row(_ cells: String...) -> String {
        let widths = [7, 6, 6, 24, 6, 14, 7, 24, 0]
        var line = ""
        for (cell, width) in zip(cells, widths) {
            line += cell.padding(toLength: max(width, cell.count + 1), withPad: " ", startingAt: 0)
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}
