import ArgumentParser
import Endpoint

/// One peer; the other one is wherever the signalling leads.
struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold a call as one peer.",
        discussion: """
            WHERE is stdio:offer or stdio:answer: descriptions and trickled candidates go out as JSON lines on standard \
            output and come in on standard input, in the forms of RTCSessionDescriptionInit and RTCIceCandidateInit; \
            {"candidate":null} ends the candidates.

            Example, two peers joined by two pipes:
              mkfifo a b
              postern call stdio:answer --record out.webm < a > b &
              postern call stdio:offer --send clip.mp4 > a < b
            """)

    @Argument(help: ArgumentHelp("stdio:offer or stdio:answer.", valueName: "where"))
    var place: String

    @OptionGroup(title: "Call") var call: CallFlags
    @OptionGroup(title: "Media") var media: MediaFlags
    @OptionGroup(title: "Network") var network: NetworkFlags

    func validate() throws {
        guard ["stdio:offer", "stdio:answer"].contains(place) else {
            throw ValidationError("'\(place)' is no place to call; write stdio:offer or stdio:answer")
        }
        if call.send == "-" {
            throw ValidationError("--send - and stdio: signalling both want standard input; send from a file or a FIFO")
        }
        for (flag, path) in [("--report", call.report), ("--events", call.events)] where path == "-" {
            throw ValidationError("\(flag) - and stdio: signalling both want standard output; name a file")
        }
        _ = try CallOptions(call, media, network)
    }

    func run() async throws {
        let options = try CallOptions(call, media, network)
        try await finish(options, call) { session in
            try await session.runStdio(offers: place == "stdio:offer")
        }
    }
}
