import FixtureSupport
import ICE
import Testing

@Suite struct HTTPTunnelTests {
    private let tunnel = HTTPTunnel(
        host: "turn.example.org", port: 443, credential: HTTPProxyCredential(user: "alice", password: "hush"))

    private func read(_ text: String, by size: Int = 7, _ tunnel: HTTPTunnel? = nil) throws -> String? {
        var answer = HTTPTunnelAnswer(to: tunnel ?? self.tunnel)
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            if let rest = try answer.receive(Array(bytes.prefix(size))) {
                return String(decoding: rest + bytes.dropFirst(size), as: UTF8.self)
            }
            bytes = bytes.dropFirst(size)
        }
        return nil
    }

    @Test func theRequestNamesTheServerAndCarriesTheCredential() {
        #expect(
            String(decoding: tunnel.request, as: UTF8.self)
                == "CONNECT turn.example.org:443 HTTP/1.1\r\nHost: turn.example.org:443\r\n"
                + "Proxy-Authorization: Basic YWxpY2U6aHVzaA==\r\n\r\n")
        let plain = HTTPTunnel(host: "2001:db8::5", port: 3_478)
        #expect(
            String(decoding: plain.request, as: UTF8.self)
                == "CONNECT [2001:db8::5]:3478 HTTP/1.1\r\nHost: [2001:db8::5]:3478\r\n\r\n")
    }

    @Test(arguments: [1, 2, 7, 1_000])
    func theWayIsOpenAfterTheHeadAndWhatFollowsIsTheServers(size: Int) throws {
        let head = "HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"
        #expect(try read(head, by: size) == "")
        #expect(try read(head + "\u{1}after", by: size) == "\u{1}after")
        #expect(try read("HTTP/1.0 200\n\n", by: size) == "")
        #expect(try read("HTTP/1.1 100 Continue\r\n\r\n" + head, by: size) == "")
        #expect(try read(String(head.dropLast(2)), by: size) == nil, "a head that goes on")
    }

    @Test func refusalsAreNamed() throws {
        let bare = HTTPTunnel(host: "turn.example.org", port: 443)
        let basic = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n"
        #expect(throws: HTTPTunnelFailure.credentialsRequired) { try read(basic, by: 7, bare) }
        #expect(throws: HTTPTunnelFailure.credentialsRejected) { try read(basic) }
        let other = "HTTP/1.1 407 x\r\nproxy-authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n"
        #expect(throws: HTTPTunnelFailure.schemeUnsupported("NTLM, Negotiate")) { try read(other) }
        #expect(throws: HTTPTunnelFailure.refused(status: 403, reason: "Forbidden", target: "turn.example.org:443")) {
            try read("HTTP/1.1 403 Forbidden\r\n\r\n")
        }
        for (status, isFinal, words) in [
            (403, true, "does not let us to turn.example.org:443"), (502, false, "does not reach"),
            (405, true, "refuses CONNECT"), (429, false, "refuses CONNECT"),
        ] {
            let failure = HTTPTunnelFailure.refused(status: status, reason: "", target: tunnel.authority)
            #expect(failure.isFinal == isFinal && failure.description.contains(words), "\(failure)")
        }
        for text in ["SSH-2.0-x\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n", "HTTP/1.1 abc x\r\n\r\n"] {
            #expect(throws: HTTPTunnelFailure.notHTTP) { try read(text) }
        }
    }

    @Test func aHeadWithoutEndIsNotReadForEver() {
        let endless = "HTTP/1.1 200 OK\r\n" + String(repeating: "X-Fill: y\r\n", count: 2_000)
        #expect(throws: HTTPTunnelFailure.notHTTP) { try read(endless, by: 1_000) }
    }

    @Test func thePasswordIsInNoText() {
        var dumped = "\(tunnel) \(HTTPTunnelFailure.credentialsRejected)"
        dump(tunnel, to: &dumped)
        #expect(!dumped.contains("hush"))
    }

    @Test func mutationsEndInAValueOrATypedError() {
        let seeds = [
            "HTTP/1.1 200 OK\r\nA: b\r\n\r\nrest", "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n",
            "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 403 y\r\n\r\n",
        ]
        var mutations = Mutations(of: seeds.map { Array($0.utf8) }, seed: 9_110)
        for _ in 0..<50_000 {
            var answer = HTTPTunnelAnswer(to: tunnel)
            _ = try? answer.receive(mutations.next())
        }
    }
}
