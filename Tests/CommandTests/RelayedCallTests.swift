import Foundation
import Testing

/// Calls of the program through Debian's coturn, on the loopback interface.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RelayedCallTests {
    let scratch: Scratch
    static let password = "hush-4711"

    init() throws { scratch = try Scratch() }

    /// Runs `body` beside a server, and gives the server's log.
    private func withServer(
        _ arguments: [String], _ body: (UInt16) async throws -> Void
    ) async throws -> String {
        let port = UInt16.random(in: 20_000...29_999)
        let log = scratch.file("turnserver.log")
        let server = try Program(
            tool("turnserver"),
            [
                "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "-p", "\(port)", "--realm=example.org",
                "--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls", "--simple-log", "-v",
                "--log-file=\(log)", "--pidfile=\(scratch.file("pid"))", "--userdb=\(scratch.file("db"))",
                "--min-port=30000", "--max-port=39999",
            ] + arguments, scratch: scratch)
        for _ in 0..<500 where !scratch.text("turnserver.log").contains("SQLite DB connection success") {
            try await Task.sleep(for: .milliseconds(20))
        }
        do {
            try await body(port)
        } catch {
            server.signal(SIGKILL)
            _ = await server.ended(within: 10)
            throw error
        }
        // It writes its log when it has time.
        for _ in 0..<100 where scratch.text("turnserver.log").components(separatedBy: "delete: realm").count < 3 {
            try await Task.sleep(for: .milliseconds(20))
        }
        server.signal(SIGKILL)
        _ = await server.ended(within: 10)
        return scratch.text("turnserver.log")
    }

    private let login = ["POSTERN_TURN_USER": "alice", "POSTERN_TURN_PASSWORD": password]

    private func freed(_ log: String) -> Int { log.components(separatedBy: "delete: realm=<example.org>").count - 1 }

    @Test func aRelayOnlyCallPassesMediaAndFreesItsAllocations() async throws {
        let log = try await withServer(["--lt-cred-mech", "--user=alice:\(Self.password)"]) { port in
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "4", "--record", scratch.file("out.webm"),
                    "--ice-server", "turn:127.0.0.1:\(port)", "--ice-policy", "relay", "--report",
                    scratch.file("r.json"), "--events", scratch.file("e.ndjson"), "--log-level", "debug", "--expect",
                    "video.framesReceived > 60",
                ], scratch: scratch, environment: login)
            #expect(ended.status == 0, "\(ended.errors)")
            let report = scratch.text("r.json")
            #expect(report.contains("\"candidateType\": \"relay\"") || report.contains("\"candidateType\":\"relay\""))
            for type in ["host", "srflx"] {
                #expect(
                    !report.contains("\"candidateType\": \"\(type)\"")
                        && !report.contains("\"candidateType\":\"\(type)\""))
            }
            for text in [report, scratch.text("e.ndjson"), ended.errors, ended.output] {
                #expect(!text.contains(Self.password))
            }
        }
        try await expectPlayable(scratch.file("out.webm"), scratch: scratch)
        #expect(freed(log) == 2, "\(log)")
    }

    @Test(arguments: [SIGTERM, SIGINT]) func aSignalFreesTheAllocationsToo(_ signal: Int32) async throws {
        let log = try await withServer(["--lt-cred-mech", "--user=alice:\(Self.password)"]) { port in
            let ended = try await Places.calls.taking { [scratch, login] in
                let program = try Program(
                    posternPath,
                    [
                        "loopback", "--send", "test", "--ice-server", "turn:127.0.0.1:\(port)", "--ice-policy",
                        "relay",
                    ], scratch: scratch, environment: login)
                try await Task.sleep(for: .seconds(3))
                program.signal(signal)
                return await program.ended(within: 15)
            }
            #expect(ended.status == 0, "\(ended.errors)")
        }
        #expect(freed(log) == 2, "\(log)")
    }

    @Test func aSharedSecretDoesInPlaceOfAPassword() async throws {
        _ = try await withServer(["--use-auth-secret", "--static-auth-secret=north"]) { port in
            try "north\n".write(toFile: scratch.file("secret"), atomically: true, encoding: .utf8)
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "2", "--ice-server", "turn:127.0.0.1:\(port)",
                    "--ice-policy", "relay", "--turn-secret-file", scratch.file("secret"),
                ], scratch: scratch)
            #expect(ended.status == 0, "\(ended.errors)")
        }
    }

    @Test func aWrongPasswordIsNamed() async throws {
        _ = try await withServer(["--lt-cred-mech", "--user=alice:\(Self.password)"]) { port in
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "2", "--setup-timeout", "4", "--ice-policy", "relay",
                    "--ice-server", "turn:alice:wrong-4711@127.0.0.1:\(port)",
                ], scratch: scratch)
            expectFailure(ended, 20, saying: ["401", "turn:127.0.0.1:\(port)"])
            #expect(!ended.errors.contains("wrong-4711"))
        }
    }

    @Test func aPasswordInAURLIsNotInTheListOfProcesses() async throws {
        try await Places.calls.taking { [scratch] in
            let program = try Program(
                posternPath,
                [
                    "loopback", "--send", "test", "--duration", "3", "--ice-server",
                    "turn:alice:\(Self.password)@127.0.0.1:9",
                ], scratch: scratch)
            try await Task.sleep(for: .seconds(1))
            let listed = await (try Program(tool("ps"), ["-eo", "args"], scratch: scratch)).ended(within: 10)
            #expect(listed.output.contains("turn:alice:****") && !listed.output.contains(Self.password))
            program.signal(SIGTERM)
            _ = await program.ended(within: 15)
        }
    }

    @Test func whatDoesNotGoTogetherIsSaid() async throws {
        for (arguments, words) in [
            (["--ice-policy", "relay"], ["--ice-policy relay", "--ice-server turn:"]),
            (["--ice-server", "turn:h", "--turn-user", "a"], ["--turn-user", "--turn-password-file"]),
            (["--ice-policy", "none"], ["host-only"]),
        ] {
            let ended = try await postern(["loopback", "--send", "test"] + arguments, scratch: scratch)
            expectFailure(ended, 64, saying: words)
        }
    }
}
