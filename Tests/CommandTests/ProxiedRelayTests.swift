import Foundation
import Testing

/// TURN through an HTTP proxy: `--proxy`, Debian's coturn, and a proxy of the test's own.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ProxiedRelayTests {
    let scratch: Scratch
    private let user = ["--lt-cred-mech", "--user=alice:hush-4711"]
    private let login = ["POSTERN_TURN_USER": "alice", "POSTERN_TURN_PASSWORD": "hush-4711"]

    init() throws { scratch = try Scratch() }

    private func gather(_ proxy: String, _ servers: [String]) async throws -> (status: Int32, json: JSON, text: String)
    {
        let ended = try await postern(
            ["gather", "--json", "--timeout", "6s", "--interface", "lo", "--proxy", proxy]
                + servers.flatMap { ["--ice-server", $0] }, scratch: scratch, environment: login)
        #expect(!(ended.output + ended.errors).contains("knock-1234"))
        return (ended.status, try JSON(parsing: ended.output), ended.output + ended.errors)
    }

    @Test func aRelayOnlyCallPassesThroughTheProxy() async throws {
        try await makeCertificate("DNS:turn.example.org", scratch)
        let proxy = try await ConnectProxy(login: "bob:knock-1234", scratch: scratch)
        _ = try await withTURNServer(scratch, user) { ports in
            for server in [
                "turn:turn.example.org:\(ports.plain)?transport=tcp", "turns:turn.example.org:\(ports.secure)",
            ] {
                let before = proxy.targets.count
                let ended = try await postern(
                    [
                        "loopback", "--send", "test", "--duration", "3", "--ice-server", server, "--turn-ca",
                        scratch.file("cert.pem"), "--ice-policy", "relay", "--proxy",
                        "http://bob@127.0.0.1:\(proxy.port)",
                        "--expect", "video.framesReceived > 30",
                    ], scratch: scratch, environment: login.merging(["POSTERN_PROXY_PASSWORD": "knock-1234"]) { $1 })
                #expect(ended.status == 0, "\(server): \(ended.errors)")
                #expect(try await ports.areFreed(scratch))
                // The proxy was asked by name, once for each of the two peers.
                let asked = proxy.targets.dropFirst(before)
                #expect(asked.count == 2 && asked.allSatisfy { $0.hasPrefix("turn.example.org:") }, "\(asked)")
            }
        }
        await proxy.stop()
    }

    @Test func gatherTellsWhatWorksThroughIt() async throws {
        try await makeCertificate("DNS:turn.example.org", scratch)
        let proxy = try await ConnectProxy(scratch: scratch)
        _ = try await withTURNServer(scratch, user) { ports in
            let found = try await gather(
                "http://127.0.0.1:\(proxy.port)",
                [
                    "turn:turn.example.org:\(ports.plain)?transport=tcp",
                    "stun:turn.example.org:\(ports.plain)?transport=tcp",
                ])
            #expect(found.status == 0, "\(found.text)")
            #expect(
                found.json["servers"][0]["verdict"].text?.contains("passed through and back") == true, "\(found.text)")
            #expect(found.json["servers"][1]["verdict"].text?.contains("STUN works over TCP") == true, "\(found.text)")
        }
        await proxy.stop()
    }

    @Test func everyRefusalOfAProxyIsNamedAndNotAskedForAgain() async throws {
        let server = "turn:turn.example.org:9?transport=tcp"
        for (login, answer, place, words) in [
            ("bob:knock-1234", "", "127.0.0.1", "asks for a user name and password (407)"),
            ("bob:knock-1234", "", "bob:wrong@127.0.0.1", "does not accept the user name and password (407)"),
            ("", "407 Prove it\r\nProxy-Authenticate: NTLM", "127.0.0.1", "wants NTLM, and only Basic"),
            ("", "403 Forbidden", "127.0.0.1", "does not let us to turn.example.org:9 (403 Forbidden)"),
            ("", "", "127.0.0.1", "does not reach turn.example.org:9 (502 Bad Gateway)"),
        ] {
            let proxy = try await ConnectProxy(login: login, answer: answer, scratch: scratch)
            let found = try await gather("http://\(place):\(proxy.port)", [server])
            #expect(found.status == 20 && found.text.contains(words), "\(found.text)")
            #expect(found.json["servers"][0]["errorCode"].number == 701, "\(found.text)")
            if !words.contains("502") { #expect(proxy.targets == ["turn.example.org:9"]) }
            await proxy.stop()
        }
        let nobody = try await gather("http://127.0.0.1:9", [server])
        #expect(nobody.status == 20 && nobody.text.contains("the proxy at 127.0.0.1:9: ECONNREFUSED"), "\(nobody.text)")
    }

    @Test func aServerThatIsNoProxyIsNamed() async throws {
        _ = try await withTURNServer(scratch, user) { ports in
            let found = try await gather("http://127.0.0.1:\(ports.plain)", ["turn:turn.example.org:9?transport=tcp"])
            #expect(found.status == 20, "\(found.text)")
            #expect(
                found.text.contains("through the proxy") || found.text.contains("the proxy closed"), "\(found.text)")
        }
    }
}
