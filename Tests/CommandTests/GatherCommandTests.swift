import Foundation
import Testing

/// `postern gather` against Debian's coturn: what works is told to work, and each fault has its name.
@Suite(.serialized, .timeLimit(.minutes(3))) struct GatherCommandTests {
    let scratch: Scratch
    private let login = ["POSTERN_TURN_USER": "alice", "POSTERN_TURN_PASSWORD": "hush-4711"]
    private let user = ["--lt-cred-mech", "--user=alice:hush-4711"]

    init() throws { scratch = try Scratch() }

    private func gather(
        _ arguments: [String], environment: [String: String]? = nil
    ) async throws -> (status: Int32, json: JSON, text: String) {
        let ended = try await postern(
            ["gather", "--json", "--timeout", "4s", "--interface", "lo"] + arguments, scratch: scratch,
            environment: environment ?? login)
        #expect(!ended.output.contains("hush-4711") && !ended.errors.contains("hush-4711"))
        return (ended.status, try JSON(parsing: ended.output), ended.output + ended.errors)
    }

    @Test func everyTransportOfAServerIsToldToWorkWithDataThroughAndBack() async throws {
        try await makeCertificate("IP:127.0.0.1", scratch)
        _ = try await withTURNServer(scratch, user) { ports in
            let found = try await gather([
                "--ice-server", "stun:127.0.0.1:\(ports.plain)", "--ice-server", "turn:127.0.0.1:\(ports.plain)",
                "--ice-server", "turn:127.0.0.1:\(ports.plain)?transport=tcp", "--ice-server",
                "turns:127.0.0.1:\(ports.secure)", "--turn-ca", scratch.file("cert.pem"), "--require", "host,relay",
            ])
            #expect(found.status == 0, "\(found.text)")
            let relays = found.json["servers"].items.filter { $0["service"].text == "turn" }
            #expect(relays.count == 3, "\(found.text)")
            for relay in relays {
                #expect(relay["verdict"].text?.contains("data passed through and back") == true, "\(found.text)")
                #expect(relay["dataRoundTripMilliseconds"].number ?? 0 > 0)
            }
            let candidates = found.json["candidates"].items.filter { $0["type"].text == "relay" }
            #expect(candidates.count == 3 && candidates.allSatisfy { $0["url"].text != nil }, "\(found.text)")
            #expect(try await ports.areFreed(scratch))
        }
    }

    @Test func eachFaultHasItsName() async throws {
        _ = try await withTURNServer(scratch, user) { ports in
            let wrong = try await gather(["--ice-server", "turn:alice:wrong@127.0.0.1:\(ports.plain)"])
            #expect(wrong.status == 20 && wrong.json["servers"][0]["errorCode"].number == 401, "\(wrong.text)")
            let none = try await gather(["--ice-server", "turn:127.0.0.1:\(ports.plain)"], environment: [:])
            #expect(none.status == 20 && none.text.contains("asks for a user name"), "\(none.text)")
            let closed = try await gather(["--ice-server", "turn:127.0.0.1:9"])
            #expect(closed.status == 20 && closed.json["servers"][0]["errorCode"].number == 701, "\(closed.text)")
            #expect(closed.text.contains("port unreachable"), "\(closed.text)")
            let refused = try await gather(["--ice-server", "turn:127.0.0.1:9?transport=tcp"])
            #expect(refused.status == 20 && refused.text.contains("ECONNREFUSED"), "\(refused.text)")
            let stun = try await gather(["--ice-server", "stun:127.0.0.1:9"])
            #expect(stun.status == 20 && stun.json["servers"][0]["errorCode"].number == 701, "\(stun.text)")
        }
        // A name that leads nowhere is one server's fault, and the others are asked all the same.
        _ = try await withTURNServer(scratch, user) { ports in
            let servers = ["turn:nobody.invalid", "turn:127.0.0.1:\(ports.plain)", "stuns:nobody.invalid"]
            let nobody = try await gather(servers.flatMap { ["--ice-server", $0] })
            #expect(nobody.status == 20, "\(nobody.text)")
            for index in [0, 2] {
                let verdict = nobody.json["servers"][index]
                #expect(verdict["errorCode"].number == 701, "\(nobody.text)")
                #expect(verdict["verdict"].text?.hasPrefix("701, nobody.invalid ") == true, "\(nobody.text)")
            }
            #expect(nobody.json["servers"][1]["works"] == .bool(true), "\(nobody.text)")
        }
        // The key of a user as it was made for another realm: the server's own is told, to compare.
        let key = "0x9cb0c2e2bdd8f6b1ad4a9e9b9d0e0a3f"
        _ = try await withTURNServer(scratch, ["--lt-cred-mech", "--user=alice:\(key)"]) { ports in
            let realm = try await gather(["--ice-server", "turn:127.0.0.1:\(ports.plain)"])
            #expect(realm.status == 20 && realm.text.contains("401"), "\(realm.text)")
            #expect(
                realm.json["servers"][0]["verdict"].text?.contains("(realm \"example.org\")") == true, "\(realm.text)")
        }
    }

    @Test func stunIsAskedOverUDPTCPAndTLS() async throws {
        try await makeCertificate("IP:127.0.0.1", scratch)
        _ = try await withTURNServer(scratch, user) { ports in
            let servers = [
                "stun:127.0.0.1:\(ports.plain)", "stun:127.0.0.1:\(ports.plain)?transport=tcp",
                "stuns:127.0.0.1:\(ports.secure)",
            ]
            let found = try await gather(
                servers.flatMap { ["--ice-server", $0] } + ["--turn-ca", scratch.file("cert.pem")])
            #expect(found.status == 0, "\(found.text)")
            for (index, words) in ["STUN works", "STUN works over TCP", "STUN works over TLS"].enumerated() {
                let verdict = found.json["servers"][index]
                #expect(
                    verdict["url"].text == servers[index] && verdict["verdict"].text?.contains(words) == true,
                    "\(found.text)")
            }
            let refused = try await gather(["--ice-server", "stuns:127.0.0.1:\(ports.secure)"])
            #expect(refused.status == 20 && refused.text.contains("certificate of 127.0.0.1 is not accepted"))
            let closed = try await gather(["--ice-server", "stun:127.0.0.1:9?transport=tcp"])
            #expect(closed.status == 20 && closed.text.contains("ECONNREFUSED"), "\(closed.text)")
        }
    }

    @Test(arguments: ["ipv6", "both"]) func relayedAddressesOfEitherFamilyPassData(_ family: String) async throws {
        _ = try await withTURNServer(scratch, user + ["--relay-ip=::1"]) { ports in
            let found = try await gather(
                ["--ice-server", "turn:127.0.0.1:\(ports.plain)", "--relay-family", family, "--require", "relay"])
            #expect(found.status == 0, "\(found.text)")
            let addresses = found.json["candidates"].items.filter { $0["type"].text == "relay" }.map {
                $0["address"].text
            }
            #expect(Set(addresses) == (family == "ipv6" ? ["::1"] : ["::1", "127.0.0.1"]), "\(found.text)")
            #expect(
                found.json["servers"][0]["verdict"].text?.contains("passed through and back") == true, "\(found.text)")
        }
        // The twin: a server that has no such address says so.
        guard family == "ipv6" else { return }
        _ = try await withTURNServer(scratch, user) { ports in
            let none = try await gather(["--ice-server", "turn:127.0.0.1:\(ports.plain)", "--relay-family", family])
            #expect(none.status == 20 && none.json["servers"][0]["errorCode"].number == 440, "\(none.text)")
        }
    }

    @Test func forbiddenPeersQuotasAndExpiredSecretsAreNamed() async throws {
        _ = try await withTURNServer(scratch, user + ["--denied-peer-ip=127.0.0.0-127.255.255.255"]) { ports in
            let denied = try await gather(["--ice-server", "turn:127.0.0.1:\(ports.plain)"])
            #expect(denied.status == 20 && denied.json["servers"][0]["errorCode"].number == 403, "\(denied.text)")
        }
        _ = try await withTURNServer(scratch, user + ["--user-quota=1"]) { ports in
            let two = try await gather([
                "--ice-server", "turn:127.0.0.1:\(ports.plain)", "--ice-server",
                "turn:127.0.0.1:\(ports.plain)?transport=tcp",
            ])
            #expect(two.status == 20 && two.text.contains("486"), "\(two.text)")
        }
        _ = try await withTURNServer(scratch, ["--use-auth-secret", "--static-auth-secret=north"]) { ports in
            let good = try await gather(
                ["--ice-server", "turn:127.0.0.1:\(ports.plain)"], environment: ["POSTERN_TURN_SECRET": "north"])
            #expect(good.status == 0, "\(good.text)")
            let late = try await gather(["--ice-server", "turn:1000000000:x:cGFzc3dvcmQ=@127.0.0.1:\(ports.plain)"])
            #expect(late.status == 20 && late.json["servers"][0]["errorCode"].number == 401, "\(late.text)")
            #expect(late.text.contains("expired at 2001-09-09T01:46:40Z"), "\(late.text)")
        }
    }

    @Test func requiredTypesDecideOnTheExitCode() async throws {
        let missing = try await gather(["--require", "host,relay"], environment: [:])
        #expect(missing.status == 30 && missing.json["missing"].items.compactMap(\.text) == ["relay"])
        let there = try await gather(["--require", "host"], environment: [:])
        #expect(there.status == 0)
        let table = try await postern(["gather", "--interface", "lo"], scratch: scratch)
        #expect(table.status == 0 && table.output.contains("host") && table.output.contains("127.0.0.1"))
        for (arguments, words) in [
            (["--require", "prflx"], "--require prflx"), (["--relay-family", "ipv5"], "--relay-family ipv5"),
            (["--timeout", "never"], "--timeout never"),
        ] {
            expectFailure(try await postern(["gather"] + arguments, scratch: scratch), 64, saying: [words])
        }
    }
}
