import ArgumentParser
import Dispatch
import Endpoint
import Foundation

/// Rooms for calls, the web page, and on demand the other side of every call.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold rooms in which two can call each other; answer them with --answer.",
        discussion: """
            HTTP and WebSocket on one port: the page for browsers at /, rooms at /room/NAME (Docs/signaling.md), /healthz and \
            /metrics. Two in a room make a call. With --answer this process is the other side of every room, one call a \
            room, several at once, each recorded to its own file in --record with its report beside it. The page's address \
            goes to standard output. Browsers give a page the camera only over HTTPS or on localhost: for a phone use \
            --tls-self-signed or a certificate.

            Examples:
              postern serve
              postern serve --listen 0.0.0.0:8099 --tls-self-signed --token SECRET --answer test --record calls
            """)

    @Option(help: ArgumentHelp("Where to listen; port 0 takes a free one.", valueName: "host:port"))
    var listen: String = "127.0.0.1:8099"

    @Option(help: ArgumentHelp("The certificate chain for HTTPS, PEM, with --tls-key.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The private key of --tls-cert, PEM.", valueName: "file"))
    var tlsKey: String?

    @Flag(help: "HTTPS with a certificate made for this run; its fingerprint is told.")
    var tlsSelfSigned = false

    @Option(
        help: ArgumentHelp(
            "Only who knows it may enter a room. POSTERN_TOKEN or --token-file keep it out of the list of processes.",
            valueName: "t"))
    var token: String?

    @Option(help: ArgumentHelp("A file whose first line is the token.", valueName: "file"))
    var tokenFile: String?

    @Flag(help: "Let anyone in who can reach the server, without a token.")
    var open = false

    @Option(
        help: ArgumentHelp(
            "A web page elsewhere that may connect, such as https://example.org. Repeatable.", valueName: "o"))
    var origin: [String] = []

    @Option(help: ArgumentHelp("How many rooms may be in use at a time.", valueName: "n"))
    var rooms = 100

    @Option(
        help: ArgumentHelp(
            "Answer every room and send this: a media file, test, or none to send nothing.", valueName: "src"))
    var answer: String?

    @Option(help: ArgumentHelp("The folder for recordings and reports of answered calls.", valueName: "dir"))
    var record: String?

    @Option(help: ArgumentHelp("Hang up answered calls after this many seconds.", valueName: "s"))
    var duration: String?

    @Option(help: ArgumentHelp("quiet, error, info or debug.", valueName: "level"))
    var logLevel: LogLevel = .info

    @OptionGroup(title: "Media of answered calls") var media: MediaFlags
    @OptionGroup(title: "Network of answered calls") var network: NetworkFlags

    func validate() throws {
        _ = try options()
    }

    private func options() throws -> ServeOptions {
        var options = ServeOptions()
        do {
            try options.listen(on: listen)
        } catch {
            throw ValidationError("\(error)")
        }
        options.token = try readToken(token, file: tokenFile)
        options.isOpen = open
        options.origins = origin
        guard (tlsCert == nil) == (tlsKey == nil) else { throw ValidationError("--tls-cert and --tls-key go together") }
        if let tlsCert, let tlsKey { options.certificate = CertificateFiles(certificate: tlsCert, key: tlsKey) }
        options.isSelfSigned = tlsSelfSigned
        options.rooms = rooms
        if let answer {
            guard answer != "-" else { throw ValidationError("--answer: many calls cannot share a pipe; name a file") }
            var call = try CallOptions(sending: answer == "none" ? nil : answer, media, network)
            call.duration = try duration.map { try parseDuration($0, flag: "--duration") }
            options.answer = call
            options.directory = record
        } else if record != nil || duration != nil {
            throw ValidationError("--record and --duration are of answered calls: add --answer")
        }
        if let problem = options.problem { throw ValidationError(problem) }
        return options
    }

    func run() async throws {
        let terminal = Terminal(level: logLevel)
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        let service: RoomService
        do {
            service = try await RoomService.start(try options(), reporter: terminal)
        } catch let error as CallSetupError {
            terminal.log(.error, "\(error)")
            throw ExitCode(error.status.rawValue)
        }
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { Task { await service.stop() } }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        try? FileHandle.standardOutput.write(contentsOf: Data((service.pageURL + "\n").utf8))
        terminal.log(.info, "the page is at \(service.pageURL), rooms at \(service.pageURL)room/NAME")
        await service.run()
    }
}
