import ArgumentParser
import Endpoint
import Foundation

/// One peer; the other one is wherever the signalling leads.
struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold a call as one peer.",
        discussion: """
            WHERE is a room, ws://HOST:8099/room/NAME or wss://…: whoever is second there makes the offer \
            (Docs/signaling.md; `postern serve` has rooms). Or it is stdio:offer or stdio:answer: descriptions and trickled \
            candidates go out as JSON lines on standard output and come in on standard input, in the forms of \
            RTCSessionDescriptionInit and RTCIceCandidateInit; {"candidate":null} ends the candidates.

            Examples:
              postern call ws://127.0.0.1:8099/room/demo --send clip.mp4 --record out.webm
              mkfifo a b
              postern call stdio:answer --record out.webm < a > b &
              postern call stdio:offer --send clip.mp4 > a < b
            """)

    @Argument(help: ArgumentHelp("ws://HOST:8099/room/NAME, wss://…, stdio:offer or stdio:answer.", valueName: "where"))
    var place: String

    @Option(
        help: ArgumentHelp(
            "Telephone keys to send (0-9 A-D * #, a comma pauses), a second into the call or as in 123#@5s.",
            valueName: "keys"))
    var sendDtmf: String?

    @Option(
        name: .customLong("at"),
        help: ArgumentHelp(
            "A command at its time in the call: '5s hold', '8s resume', '10s send other.mp4' (Docs/control.md). Repeatable.",
            valueName: "time command"))
    var commands: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where commands are read from while the call goes on, a line each: a named pipe, a file, - for standard input.",
            valueName: "file"))
    var control: String?

    @OptionGroup(title: "Call") var call: CallFlags
    @OptionGroup(title: "Room") var room: RoomFlags
    @OptionGroup(title: "Media") var media: MediaFlags
    @OptionGroup(title: "Network") var network: NetworkFlags

    private var isRoom: Bool { place.lowercased().hasPrefix("ws://") || place.lowercased().hasPrefix("wss://") }

    func validate() throws {
        guard isRoom || ["stdio:offer", "stdio:answer"].contains(place) else {
            throw ValidationError(
                "'\(place)' is no place to call; write ws://HOST:8099/room/NAME, stdio:offer or stdio:answer")
        }
        if isRoom {
            _ = try room.options(place)
        } else {
            if control == "-" {
                throw ValidationError(
                    "--control - and stdio: signalling both want standard input; name a pipe (mkfifo)")
            }
            if call.send == "-" {
                throw ValidationError(
                    "--send - and stdio: signalling both want standard input; send from a file or a FIFO")
            }
            for (flag, path) in [("--report", call.report), ("--events", call.events)] where path == "-" {
                throw ValidationError("\(flag) - and stdio: signalling both want standard output; name a file")
            }
            if let flag = room.given { throw ValidationError("\(flag) is for rooms (ws://…), not for stdio:") }
        }
        if control == "-", call.send == "-" {
            throw ValidationError("--control - and --send - both want standard input; name a pipe (mkfifo)")
        }
        _ = try options()
    }

    private func options() throws -> CallOptions {
        var options = try CallOptions(call, media, network)
        options.keys = try sendDtmf.map(parseKeys)
        options.commands = try commands.map(parseScheduled)
        options.controlPath = control
        return options
    }

    func run() async throws {
        let options = try self.options()
        let room = isRoom ? try self.room.options(place) : nil
        try await finish(options, call) { session in
            if let room { return try await session.runRoom(room) }
            return try await session.runStdio(offers: place == "stdio:offer")
        }
    }
}

struct RoomFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long to wait for the other side to come into the room; without it --setup-timeout.", valueName: "s"))
    var waitForPeer: String?

    @Option(
        help: ArgumentHelp(
            "The token of the server. POSTERN_TOKEN or --token-file keep it out of the list of processes.",
            valueName: "t"))
    var token: String?

    @Option(help: ArgumentHelp("A file whose first line is the token.", valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("PEM certificates to trust for wss:, in place of the system's.", valueName: "file"))
    var ca: String?

    @Flag(help: "Trust any certificate for wss:.")
    var insecure = false

    /// A flag that was given.
    var given: String? {
        if waitForPeer != nil { return "--wait-for-peer" }
        if token != nil || tokenFile != nil { return "--token" }
        if ca != nil { return "--ca" }
        return insecure ? "--insecure" : nil
    }

    func options(_ url: String) throws -> RoomOptions {
        do {
            var options = try RoomOptions(url: url)
            options.token = try readToken(token, file: tokenFile) ?? options.token
            if let ca { try options.trustAuthorities(file: ca) }
            options.isInsecure = insecure
            options.waitForPeer = try waitForPeer.map { try parseDuration($0, flag: "--wait-for-peer") }
            return options
        } catch let error as SignalingError {
            throw ValidationError("\(error)")
        }
    }
}

/// `123#` or `123#@5s`.
func parseKeys(_ text: String) throws -> TelephoneKeys {
    let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let digits = String(parts.first ?? "")
    guard let digits = CallCommand.keys(digits) else {
        throw ValidationError(
            "--send-dtmf \(text): write keys of 0-9 A-D * # and commas, a hundred at most, such as 123#@5s")
    }
    let after = parts.count > 1 ? try parseDuration(String(parts[1]), flag: "--send-dtmf \(digits)@") : .seconds(1)
    return TelephoneKeys(digits: digits, after: after)
}

/// `5s hold`.
func parseScheduled(_ text: String) throws -> ScheduledCommand {
    let parts = text.split(maxSplits: 1, whereSeparator: \.isWhitespace)
    guard parts.count == 2 else {
        throw ValidationError("--at '\(text)': write a time in the call and a command, such as '5s hold'")
    }
    let after = try parseDuration(String(parts[0]), flag: "--at")
    do {
        return ScheduledCommand(try CallCommand(parsing: String(parts[1])), after: after)
    } catch {
        throw ValidationError("--at '\(text)': \(error)")
    }
}

/// The token from the flag, the file, or POSTERN_TOKEN.
func readToken(_ token: String?, file: String?) throws -> String? {
    if token != nil, file != nil { throw ValidationError("--token and --token-file: give one of them") }
    if let token {
        guard !token.isEmpty else { throw ValidationError("--token is empty") }
        return token
    }
    if let file {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8),
            let line = text.split(whereSeparator: \.isNewline).first, !line.isEmpty
        else { throw ValidationError("--token-file \(file): there is no token to be read in it") }
        return String(line)
    }
    return ProcessInfo.processInfo.environment["POSTERN_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
}
