import ArgumentParser
import Endpoint

@main
enum Program {
    static func main() async {
        ProcessTitle.hidePasswords()
        await Postern.main()
    }
}

struct Postern: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "postern",
        abstract: "A headless WebRTC peer: takes part in calls, sends media files into them, records what it receives.",
        discussion: """
            Data goes to standard output, everything meant for people to standard error. Exit codes are documented in \
            Docs/exit-codes.md: 0 success, 10 media input, 11 recording, 12 network, 13 signalling, 20 ICE, 21 DTLS, \
            22 call lost, 30 expectation not met, 64 wrong usage, 1 unexpected.
            """,
        version: "0.1.0",
        subcommands: [Loopback.self, Call.self, Serve.self, Gather.self, NAT.self])
}
