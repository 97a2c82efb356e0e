import Foundation
import Testing

/// Calls of the program through Debian's coturn, on the loopback interface.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RelayedCallTests {
    let scratch: Scratch
    static let password = "hush-4711"

    init() throws { scratch = try Scratch() }

    private let login = ["POSTERN_TURN_USER": "alice", "POSTERN_TURN_PASSWORD": password]

    private func freed(_ log: String) -> Int { log.components(separatedBy: "delete: realm=<example.org>").count - 1 }

    @Test func aRelayOnlyCallPassesMediaAndFreesItsAllocations() async throws {
        let log = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "4", "--record", scratch.file("out.webm"),
                    "--ice-server", "turn:127.0.0.1:\(ports.plain)", "--ice-policy", "relay", "--report",
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

    @Test(arguments: ["tcp", "tls"]) func callsPassOverConnectionsToo(_ transport: String) async throws {
        try await makeCertificate("IP:127.0.0.1", scratch)
        let log = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let url =
                transport == "tcp" ? "turn:127.0.0.1:\(ports.plain)?transport=tcp" : "turns:127.0.0.1:\(ports.secure)"
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "4", "--record", scratch.file("out.webm"),
                    "--ice-server", url, "--turn-ca", scratch.file("cert.pem"), "--ice-policy", "relay", "--report",
                    scratch.file("r.json"), "--expect", "video.framesReceived > 60",
                ], scratch: scratch, environment: login)
            #expect(ended.status == 0, "\(ended.errors)")
            let report = scratch.text("r.json")
            #expect(report.contains("\"relayProtocol\": \"\(transport)\""), "\(report.prefix(3_000))")
        }
        try await expectPlayable(scratch.file("out.webm"), scratch: scratch)
        #expect(freed(log) == 2, "\(log)")
    }

    @Test func aCertificateOfAnotherNameIsRefusedByName() async throws {
        try await makeCertificate("DNS:elsewhere.example.org", scratch)
        _ = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let arguments = [
                "gather", "--json", "--timeout", "5s", "--ice-server", "turns:127.0.0.1:\(ports.secure)",
                "--turn-ca", scratch.file("cert.pem"), "--interface", "lo",
            ]
            let refused = try await postern(arguments, scratch: scratch, environment: login)
            #expect(refused.status == 20)
            #expect(refused.output.contains("certificate of 127.0.0.1 is not accepted"), "\(refused.output)")
            // The twin: told to take any, it is taken.
            let taken = try await postern(arguments + ["--turn-insecure"], scratch: scratch, environment: login)
            #expect(taken.status == 0, "\(taken.output)")
        }
    }

    @Test(arguments: [SIGTERM, SIGINT]) func aSignalFreesTheAllocationsToo(_ signal: Int32) async throws {
        let log = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let ended = try await Places.calls.taking { [scratch, login] in
                let program = try Program(
                    posternPath,
                    [
                        "loopback", "--send", "test", "--ice-server", "turn:127.0.0.1:\(ports.plain)", "--ice-policy",
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
        _ = try await withTURNServer(scratch, ["--use-auth-secret", "--static-auth-secret=north"]) { ports in
            try "north\n".write(toFile: scratch.file("secret"), atomically: true, encoding: .utf8)
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "2", "--ice-server", "turn:127.0.0.1:\(ports.plain)",
                    "--ice-policy", "relay", "--turn-secret-file", scratch.file("secret"),
                ], scratch: scratch)
            #expect(ended.status == 0, "\(ended.errors)")
        }
    }

    @Test func aWrongPasswordIsNamed() async throws {
        _ = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "2", "--setup-timeout", "4", "--ice-policy", "relay",
                    "--ice-server", "turn:alice:wrong-4711@127.0.0.1:\(ports.plain)",
                ], scratch: scratch)
            expectFailure(ended, 20, saying: ["401", "turn:127.0.0.1:\(ports.plain)"])
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
