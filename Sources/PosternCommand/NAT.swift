import ArgumentParser
import Endpoint
import Foundation
import Primitives

/// What stands between us and the others.
struct NAT: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nat",
        abstract: "Say how the NAT before this machine behaves, and what that means for calls.",
        discussion: """
            Asks a STUN server that has two addresses (RFC 5780; coturn with two listening addresses is one). With a server \
            of one address only, a second --ice-server shows whether the NAT is symmetric. Takes up to 15 s, and where there \
            is a NAT as long again as --idle says. The exit code is 20 when the server does not answer.

            Example:
              postern nat --ice-server stun:stun.example.org
            """)

    @Flag(help: "Write the findings as JSON to standard output.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Find out whether a mapping that is not used is kept for this long; 0s leaves it out.", valueName: "s"))
    var idle: String = "60s"

    @Option(help: ArgumentHelp("quiet, error, info or debug.", valueName: "level"))
    var logLevel: LogLevel = .info

    @OptionGroup(title: "Network") var network: NetworkFlags

    func validate() throws {
        guard !network.iceServer.isEmpty else {
            throw ValidationError("nat asks a STUN server: add --ice-server stun:HOST:PORT")
        }
        _ = try limit()
        _ = try CallOptions(gathering: network)
    }

    private func limit() throws -> TimeDelta {
        guard !["0", "0s"].contains(idle) else { return .zero }
        let limit = try parseDuration(idle, flag: "--idle")
        guard limit <= .seconds(600) else { throw ValidationError("--idle \(idle): ten minutes are the most") }
        return limit
    }

    func run() async throws {
        let terminal = Terminal(level: logLevel)
        signal(SIGPIPE, SIG_IGN)
        let session = CallSession(options: try CallOptions(gathering: network), reporter: terminal)
        let sources = interrupting(session)
        defer { for source in sources { source.cancel() } }
        let reports: [NATReport]
        do {
            reports = try await session.runNAT(idle: limit())
        } catch let error as CallSetupError {
            terminal.log(.error, "\(error)")
            throw ExitCode(error.status.rawValue)
        }
        let text =
            json
            ? (["schema": "postern-nat/1", "results": .array(reports.map(\.json))] as JSONValue).pretty
            : reports.map { $0.sentences.joined(separator: "\n") }.joined(separator: "\n\n")
        write(text)
        if let failed = reports.first(where: { $0.status != .success }) { throw ExitCode(failed.status.rawValue) }
    }
}
