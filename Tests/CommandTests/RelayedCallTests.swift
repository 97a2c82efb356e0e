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
                // The twin: while it lasts the server has them.
                var held: Int?
                for _ in 0..<100 where held != 2 {
                    held = try await ports.sessions(scratch)
                    try await Task.sleep(for: .milliseconds(100))
                }
                #expect(held == 2)
                program.signal(signal)
                return await program.ended(within: 15)
            }
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(try await ports.areFreed(scratch))
        }
        #expect(freed(log) == 2, "\(log)")
    }

    @Test(arguments: ["udp", "tcp"]) func anErrorFreesTheAllocationsToo(_ transport: String) async throws {
        // Neither relay may send to the other, so that there is never a pair.
        let arguments = ["--lt-cred-mech", "--user=alice:\(Self.password)", "--denied-peer-ip=127.0.0.1"]
        let log = try await withTURNServer(scratch, arguments) { ports in
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--setup-timeout", "3", "--ice-policy", "relay", "--ice-server",
                    "turn:127.0.0.1:\(ports.plain)?transport=\(transport)",
                ], scratch: scratch, environment: login)
            expectFailure(ended, 20, saying: ["403"])
            #expect(try await ports.areFreed(scratch))
        }
        #expect(freed(log) == 2, "\(log)")
    }

    @Test func aCallThroughIPv6RelaysPassesMedia() async throws {
        _ = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)", "--relay-ip=::1"]) {
            ports in
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "3", "--ice-server", "turn:127.0.0.1:\(ports.plain)",
                    "--relay-family", "ipv6", "--ice-policy", "relay", "--report", scratch.file("r.json"), "--expect",
                    "video.framesReceived > 30",
                ], scratch: scratch, environment: login)
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(scratch.text("r.json").contains("::1"))
            #expect(try await ports.areFreed(scratch))
        }
    }

    /// Passwords of three servers, a shared secret and a proxy, told in every way there is.
    @Test func noCredentialIsInAnythingThatARunLeavesBehind() async throws {
        let secrets = ["hush-4711", "wind-4712", "knock-4713", "Ym9iOmtub2NrLTQ3MTM=", "north-4714"]
        try "wind-4712\n".write(toFile: scratch.file("password"), atomically: true, encoding: .utf8)
        try "north-4714\n".write(toFile: scratch.file("secret"), atomically: true, encoding: .utf8)
        let proxy = try await ConnectProxy(login: "bob:knock-4713", scratch: scratch)
        let users = ["--lt-cred-mech", "--user=alice:hush-4711", "--user=carol:wind-4712"]
        _ = try await withTURNServer(scratch, users) { ports in
            for login in [
                ["--turn-user", "carol", "--turn-password-file", "password"], ["--turn-secret-file", "secret"],
            ] {
                for command in [
                    [
                        "loopback", "--send", "test", "--duration", "3", "--record", "out.webm", "--report", "r.json",
                        "--events",
                        "e.ndjson",
                    ], ["gather", "--json", "--timeout", "3s", "--interface", "lo"],
                ] {
                    let arguments = [
                        "--log-level", "debug", "--ice-server", "turn:alice:hush-4711@127.0.0.1:\(ports.plain)",
                        "--ice-server",
                        "turn:127.0.0.1:\(ports.plain)?transport=tcp", "--proxy",
                        "http://bob:knock-4713@127.0.0.1:\(proxy.port)",
                    ]
                    let ended = try await Places.calls.taking { [scratch] in
                        let program = try Program(posternPath, command + arguments + login, scratch: scratch)
                        try await Task.sleep(for: .seconds(1))
                        let listed = await (try Program(tool("ps"), ["-eo", "args"], scratch: scratch)).ended(
                            within: 10)
                        for secret in secrets {
                            let lines = listed.output.split(separator: "\n").filter {
                                $0.contains("postern \(command[0])")
                            }
                            #expect(!lines.contains { $0.contains(secret) }, "\(lines)")
                        }
                        return await program.ended(within: 30)
                    }
                    for (name, text) in [
                        ("output", ended.output), ("errors", ended.errors), ("report", scratch.text("r.json")),
                        ("events", scratch.text("e.ndjson")),
                    ] {
                        for secret in secrets {
                            #expect(!text.contains(secret), "\(secret) is in the \(name) of \(command[0])")
                        }
                    }
                }
            }
            #expect(scratch.text("r.json").contains("\"relay\""), "the run did use the servers")
        }
        await proxy.stop()
    }

    /// Calls share a UDP port and not an allocation: over UDP each has a socket of its own for servers, over TCP a connection.
    @Test(arguments: ["udp", "tcp"]) func aCallOnOnePortForAllGoesThroughARelay(_ transport: String) async throws {
        _ = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let relay = [
                "--ice-policy", "relay", "--ice-server",
                "turn:alice:\(Self.password)@127.0.0.1:\(ports.plain)?transport=\(transport)", "--interface", "lo",
            ]
            let call = try await PipedCall.run(
                offerer: ["--send", "test", "--duration", "3", "--udp-port", "\(ports.console + 1)"] + relay,
                answerer: ["--record", scratch.file("out.webm"), "--udp-port", "\(ports.console + 2)"] + relay,
                scratch: scratch)
            for side in [call.offerer, call.answerer] { #expect(side.status == 0, "\(side.errors)") }
            let lines = call.fromOfferer.filter { $0.contains("typ ") }
            #expect(!lines.isEmpty && lines.allSatisfy { $0.contains("typ relay") }, "\(lines)")
            #expect(try await ports.areFreed(scratch))
        }
        try await expectPlayable(scratch.file("out.webm"), scratch: scratch)
    }

    /// The connections to the server are reset for two seconds: others are made, with other relayed addresses, and the call
    /// goes on over those.
    @Test func aCallComesBackAfterItsConnectionsToTheServerWereReset() async throws {
        _ = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let trouble = try await TroubledRelay(to: Int(ports.plain), scratch: scratch)
            let ended = try await Places.calls.taking { [scratch, login] in
                let program = try Program(
                    posternPath,
                    [
                        "loopback", "--send", "test", "--duration", "14", "--ice-policy", "relay", "--ice-server",
                        "turn:127.0.0.1:\(trouble.port)?transport=tcp", "--report", scratch.file("r.json"), "--events",
                        scratch.file("e.ndjson"), "--expect", "video.framesReceived > 210",
                    ], scratch: scratch, environment: login)
                try await Task.sleep(for: .seconds(4))
                trouble.make(.cut)
                try await Task.sleep(for: .seconds(2))
                trouble.mend()
                return await program.ended(within: 40)
            }
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(
                scratch.text("e.ndjson").contains("the server closed the connection")
                    || scratch.text("e.ndjson").contains("ECONNRESET"))
            await trouble.stop()
            #expect(try await ports.areFreed(scratch))
        }
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

    /// With relays alone, and none, nobody can reach us: the call ends at once, whether the other side is there or not.
    @Test(arguments: ["loopback", "call stdio:offer"]) func aWrongPasswordIsNamedAtOnce(_ call: String) async throws {
        _ = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(Self.password)"]) { ports in
            let program = try Program(
                posternPath,
                call.split(separator: " ").map(String.init) + [
                    "--send", "test", "--duration", "2", "--setup-timeout", "300", "--ice-policy", "relay",
                    "--ice-server", "turn:alice:wrong-4711@127.0.0.1:\(ports.plain)",
                ], scratch: scratch, input: Pipe())
            let ended = await program.ended(within: 30)
            expectFailure(ended, 20, saying: ["401", "turn:127.0.0.1:\(ports.plain)"])
            #expect(!ended.errors.contains("wrong-4711"))
        }
    }

    /// A connection is made again, so that a server that is not there yet may come.
    @Test func aServerThatIsNotThereIsWaitedFor() async throws {
        let begun = ContinuousClock.now
        let ended = try await postern(
            [
                "loopback", "--send", "test", "--duration", "2", "--setup-timeout", "3", "--ice-policy", "relay",
                "--ice-server", "turn:alice:\(Self.password)@127.0.0.1:9?transport=tcp",
            ], scratch: scratch)
        expectFailure(ended, 20, saying: ["refused", "turn:127.0.0.1:9?transport=tcp"])
        #expect(ContinuousClock.now - begun >= .seconds(3))
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
            // Servers of other tests have theirs in the list; they have no other place for it.
            let own = listed.output.split(separator: "\n").filter { $0.contains("postern loopback") }
            #expect(own.contains { $0.contains("turn:alice:****") }, "\(own)")
            #expect(!own.contains { $0.contains(Self.password) }, "\(own)")
            program.signal(SIGTERM)
            _ = await program.ended(within: 15)
        }
    }

    @Test func whatDoesNotGoTogetherIsSaid() async throws {
        for (arguments, words) in [
            (["--ice-policy", "relay"], ["--ice-policy relay", "--ice-server turn:"]),
            (["--ice-server", "turn:h", "--turn-user", "a"], ["--turn-user", "--turn-password-file"]),
            (["--ice-policy", "none"], ["host-only"]),
            (["--ice-server", "turns:h?transport=udp"], ["DTLS"]),
            (["--proxy", "http://p:1", "--ice-server", "turn:h"], ["--proxy http://p:1", "?transport=tcp"]),
        ] {
            let ended = try await postern(["loopback", "--send", "test"] + arguments, scratch: scratch)
            expectFailure(ended, 64, saying: words)
        }
        let lite = try await postern(["call", "stdio:offer", "--ice-server", "turn:h", "--ice-lite"], scratch: scratch)
        expectFailure(lite, 64, saying: ["--ice-lite", "host candidates only"])
    }
}
