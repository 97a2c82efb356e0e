import Endpoint
import ICE
import Testing

@Suite struct ICEServerURLTests {
    @Test(arguments: [
        ("stun:stun.example.org", "stun:stun.example.org:3478"), ("stun:192.0.2.1:19302", "stun:192.0.2.1:19302"),
        ("STUN:[2001:db8::1]:5000", "stun:[2001:db8::1]:5000"), ("stun:[::1]", "stun:[::1]:3478"),
        ("turn:turn.example.org", "turn:turn.example.org:3478?transport=udp"),
        ("turn:alice:secret@[2001:db8::1]:99", "turn:[2001:db8::1]:99?transport=udp"),
    ])
    func reads(_ text: String, _ canonical: String) throws {
        #expect(try ICEServerURL(parsing: text).description == canonical)
    }

    @Test(arguments: [
        "", "stun", "stun:", "stun:host:0", "stun:host:65536", "stun:host:x", "stun:2001:db8::1", "stun:[::1",
        "stun:[1.2.3.4]", "stun://host", "stun:host?transport=udp", "http:host", "stun:a b", "stun:a:b@host",
        "turn:alice@host", "turn:alice:%4@host", "turn::x@host",
    ])
    func refuses(_ text: String) {
        #expect(throws: ICEServerError.self) { try ICEServerURL(parsing: text) }
    }

    @Test func aUserNameMayHaveColons() throws {
        let url = try ICEServerURL(parsing: "turn:1893456000:bob:p%40ss%3Aword@turn.example.org")
        #expect(url.credential == TURNCredential(username: "1893456000:bob", password: "p@ss:word"))
    }

    @Test func noPasswordIsInAnyText() throws {
        let url = try ICEServerURL(parsing: "turn:alice:hush@turn.example.org")
        var dumped = ""
        dump(url, to: &dumped)
        #expect(!"\(url)".contains("hush") && !dumped.contains("hush"))
        let error = #expect(throws: ICEServerError.self) {
            try ICEServerURL(parsing: "turn:alice:hush@turn.example.org:x")
        }
        #expect(error.map { !"\($0)".contains("hush") } == true)
    }

    @Test func loginsComeFromTheEnvironmentAndFilesAndAreHeldTogether() throws {
        var options = NetworkOptions()
        try options.setTURNLogin(
            user: nil, passwordFile: nil, secretFile: nil,
            environment: ["POSTERN_TURN_USER": "alice", "POSTERN_TURN_PASSWORD": "hush"])
        #expect(options.login == .password(TURNCredential(username: "alice", password: "hush")))
        #expect(!"\(options)".contains("hush"))
        try options.setTURNLogin(
            user: "bob", passwordFile: nil, secretFile: nil, environment: ["POSTERN_TURN_SECRET": "north wind"])
        #expect(!"\(options)".contains("north wind"))
        guard case .secret(_, "bob") = options.login else {
            Issue.record("\(options.login)")
            return
        }
        #expect(throws: NetworkOptionError.self) {
            try options.setTURNLogin(user: "bob", passwordFile: nil, secretFile: nil, environment: [:])
        }
        #expect(throws: NetworkOptionError.self) {
            try options.setTURNLogin(user: "bob", passwordFile: "/nonexistent", secretFile: nil, environment: [:])
        }
        #expect(throws: NetworkOptionError.self) {
            try options.setTURNLogin(
                user: nil, passwordFile: nil, secretFile: nil, environment: ["POSTERN_TURN_PASSWORD": "hush"])
        }
    }
}
