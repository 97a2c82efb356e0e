import Foundation
import Testing

/// A command line that is wrong starts nothing: exit code 64, and the message names the flag.
@Suite struct BadFlagTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private static let numbers = [
        "junk", "-5", "0", "", "99999999999999999999", "1e400", "nan", "inf", "1e300h", "5 5",
    ]

    @Test(arguments: [
        "--duration", "--setup-timeout", "--video-bitrate", "--audio-bitrate", "--video-size", "--fps", "--port-range",
        "--seed", "--network", "--expect", "--log-level", "--ice-server",
    ]) func valuesThatAreNone(_ flag: String) async throws {
        for value in Self.numbers where !(flag == "--seed" && value == "0") {
            let mode = flag == "--ice-server" ? [] : ["--virtual"]
            let ended = try await refused(
                ["loopback", "--send", "test", "--duration", "0.1", "\(flag)=\(value)"] + mode)
            #expect(ended.errors.contains(flag), "\(flag)=\(value): \(ended.errors)")
        }
    }

    @Test func valuesAtTheEdges() async throws {
        let cases: [(String, [String])] = [
            ("--video-size", ["15x480", "640x4097", "640", "640x", "x", "640x480x2", "-640x480", "6 40x480"]),
            ("--video-bitrate", ["9999", "100.1M", "1T", "1,5M", "0x10"]), ("--audio-bitrate", ["5k", "511k"]),
            ("--fps", ["0.9", "120.1"]), ("--duration", ["10001h", "1 s", "5d", "s", "ms", "--1"]),
            ("--port-range", ["0-10", "10-5", "1-65536", "1-2-3", "-", "10-", "a-b"]),
            (
                "--ice-server",
                [
                    "stun:", "stun:host:0", "stun:host:65536", "stun:[::1", "turn:", "turn:h?transport=sctp",
                    "http://h", "stun:a b",
                ]
            ),
            ("--network", ["rtt=", "rtt=-1ms", "loss=101%", "loss=nan", "rate=0", "nat=quux", "rtt=1ms,rtt", "=1"]),
            ("--expect", ["setup", "setup <", "< 1s", "setup < 1parsec", "a..b == 1", "setup < 1 2"]),
        ]
        for (flag, values) in cases {
            for value in values {
                let mode = flag == "--ice-server" ? [] : ["--virtual"]
                let ended = try await refused(
                    ["loopback", "--send", "test", "--duration", "0.1", "\(flag)=\(value)"] + mode)
                #expect(ended.errors.contains(flag), "\(flag)=\(value): \(ended.errors)")
            }
        }
    }

    /// The same edges from inside: what is allowed is done.
    @Test func valuesAtTheEdgesThatAreAllowed() async throws {
        for more in [
            ["--duration", "100ms"], ["--duration", "0.1", "--setup-timeout", "10000h"],
            ["--duration", "0.1", "--fps", "1"], ["--duration", "0.1", "--video-size", "16x16"],
            ["--duration", "0.1", "--video-bitrate", "10k", "--audio-bitrate", "6k"],
            ["--duration", "0.1", "--port-range", "65535", "--seed", "18446744073709551615"],
        ] {
            let ended = try await postern(["loopback", "--send", "test", "--virtual"] + more, scratch: scratch)
            #expect(ended.status == 0, "\(more): \(ended.errors)")
        }
    }

    @Test func flagsThatDoNotGoTogether() async throws {
        let cases: [([String], String)] = [
            ([], "Missing"), (["quux"], "quux"), (["loopback", "--quux"], "--quux"),
            (["loopback"], "nothing to send and no --duration"),
            (["loopback", "--send", "test", "--network", "rtt=1ms"], "add --virtual"),
            (["loopback", "--send", "-"], "--input-format"),
            (["loopback", "--send", "test", "--input-format", "y4m"], "--send -"),
            (["loopback", "--send", "test", "--report", "-", "--events", "-"], "standard output"),
            (["loopback", "--send", "test", "--virtual", "--interface", "lo"], "--virtual"),
            (["loopback", "--send", "test", "--dtls-key", "key.pem"], "go together"),
            (["call"], "where"), (["call", "stdio:"], "stdio:offer"), (["call", "nowhere"], "nowhere"),
            (["call", "stdio:offer", "--send", "-", "--input-format", "y4m"], "standard input"),
            (["call", "stdio:offer", "--report", "-"], "standard output"),
            (["call", "stdio:offer", "--events", "-"], "standard output"),
        ]
        for (arguments, word) in cases {
            // Without a subcommand the help is what is shown, and that is no mistake.
            if arguments.isEmpty { continue }
            let ended = try await refused(arguments)
            #expect(ended.errors.contains(word), "\(arguments): \(ended.errors)")
        }
    }

    @Test func anExpectationThatDoesNotHoldHasAnExitCodeOfItsOwn() async throws {
        let call = ["loopback", "--send", "test", "--duration", "0.5", "--virtual", "--network", "rtt=100ms"]
        for (expectation, words) in [
            ("setup < 1ms", ["expectation not met: setup < 1ms", "setup is"]),
            ("video.framesReceived == 3", ["video.framesReceived is"]), ("outcome == failed", ["outcome is"]),
            ("video.quux == 0", ["has no member \"quux\"", "framesReceived"]),
        ] {
            let ended = try await postern(
                call + [
                    "--expect", "outcome == completed", "--expect", expectation, "--report", scratch.file("r.json"),
                ],
                scratch: scratch)
            expectFailure(ended, 30, saying: words, expectation)
            let report = try JSON(file: scratch.file("r.json"))
            #expect(report["exitCode"].integer == 30 && report["outcome"].text == "completed")
            #expect(report["expectations"].items.map { $0["held"] } == [.bool(true), .bool(false)])
        }
        let ended = try await postern(
            call + ["--expect", "setup < 1s", "--expect", "video.freezes == 0"], scratch: scratch)
        #expect(ended.status == 0, "\(ended.errors)")
    }

    private func refused(
        _ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Ended {
        let ended = try await postern(arguments, scratch: scratch)
        expectFailure(ended, 64, saying: [], arguments.joined(separator: " "), sourceLocation: sourceLocation)
        #expect(ended.output.isEmpty, "\(arguments)", sourceLocation: sourceLocation)
        return ended
    }
}
