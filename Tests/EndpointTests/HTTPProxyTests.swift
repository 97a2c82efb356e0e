import Endpoint
import ICE
import Testing

@Suite struct HTTPProxyTests {
    private func options(_ text: String, _ servers: [String] = ["turns:turn.example.org"], password: String? = nil)
        throws
        -> NetworkOptions
    {
        var options = NetworkOptions()
        for server in servers { options.iceServers.append(try ICEServerURL(parsing: server)) }
        try options.setProxy(text, environment: password.map { ["POSTERN_PROXY_PASSWORD": $0] } ?? [:])
        return options
    }

    @Test func itIsReadWithAndWithoutAUser() throws {
        let plain = try #require(try options("http://proxy.example.org:3128").proxy)
        #expect(plain.host == "proxy.example.org" && plain.port == 3_128 && plain.credential == nil)
        let both = try #require(try options("HTTP://alice:p%40ss:word@[2001:db8::8]:8080/").proxy)
        #expect(both.host == "2001:db8::8" && both.port == 8_080)
        #expect(both.credential == HTTPProxyCredential(user: "alice", password: "p@ss:word"))
        let named = try #require(try options("http://alice@192.0.2.8:80", password: "hush").proxy)
        #expect(named.credential == HTTPProxyCredential(user: "alice", password: "hush"))
    }

    @Test(arguments: [
        ("", "write http://"), ("proxy:3128", "write http://"), ("https://proxy:3128", "write http://"),
        ("http://proxy", "HOST:PORT"), ("http://proxy:0", "HOST:PORT"), ("http://proxy:3128/path", "HOST:PORT"),
        ("http://2001:db8::8:80", "brackets"), ("http://:3128", "HOST:PORT"), ("http://@proxy:1", "before the @"),
        ("http://alice@proxy:3128", "POSTERN_PROXY_PASSWORD"), ("http://a%4:b@proxy:1", "before the @"),
    ])
    func whatIsWrongIsSaid(_ text: String, _ words: String) {
        let error = #expect(throws: NetworkOptionError.self) { try options(text) }
        #expect(error.map { "\($0)".contains(words) } == true, "\(text): \(error.map { "\($0)" } ?? "")")
    }

    @Test func withoutAServerThatItCouldReachItIsRefused() throws {
        for servers in [[], ["stun:stun.example.org", "turn:turn.example.org"]] {
            let error = #expect(throws: NetworkOptionError.self) { try options("http://proxy:3128", servers) }
            #expect(error.map { "\($0)".contains("?transport=tcp") } == true)
        }
        for server in ["turn:h?transport=tcp", "stuns:h", "stun:h?transport=tcp"] {
            #expect(try options("http://proxy:3128", [server]).proxy != nil)
        }
    }

    @Test func thePasswordIsInNoText() throws {
        let read = try options("http://alice:hush@proxy:3128")
        var dumped = "\(read)"
        dump(read, to: &dumped)
        #expect(!dumped.contains("hush"))
        let error = #expect(throws: NetworkOptionError.self) { try options("http://alice:hush@proxy") }
        #expect(error.map { !"\($0)".contains("hush") } == true)
    }
}
