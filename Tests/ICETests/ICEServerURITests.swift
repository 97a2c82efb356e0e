import FixtureSupport
import ICE
import Testing

@Suite struct ICEServerURITests {
    @Test(arguments: [
        ("stun:stun.example.org", "stun:stun.example.org:3478"), ("STUN:192.0.2.1:19302", "stun:192.0.2.1:19302"),
        ("stuns:stun.example.org", "stuns:stun.example.org:5349"),
        ("turn:turn.example.org", "turn:turn.example.org:3478?transport=udp"),
        ("turn:turn.example.org?transport=tcp", "turn:turn.example.org:3478?transport=tcp"),
        ("turn:turn.example.org:80?Transport=UDP", "turn:turn.example.org:80?transport=udp"),
        ("turns:turn.example.org", "turns:turn.example.org:5349?transport=tcp"),
        ("turns:[2001:db8::5]:443?transport=tcp", "turns:[2001:db8::5]:443?transport=tcp"),
        ("turn:[::1]", "turn:[::1]:3478?transport=udp"),
    ])
    func isReadAndWritten(_ text: String, _ written: String) throws {
        let uri = try ICEServerURI(parsing: text)
        #expect("\(uri)" == written)
        #expect(try ICEServerURI(parsing: written) == uri)
    }

    @Test(arguments: [
        ("", "no scheme"), ("turn", "no scheme"), ("http:x", "unknown scheme"), ("turn://x", "no //"),
        ("turn:", "no host"), ("turn::3478", "no host"), ("turn:x:0", "no port"), ("turn:x:65536", "no port"),
        ("turn:x:+5", "no port"), ("turn:x:", "no port"), ("turn:a:b:c", "in brackets"), ("turn:[::1", "without ]"),
        ("turn:[x]", "no IPv6"), ("turn:[::1]x", "no port"), ("turn:a b", "no host"), ("turn:u@x", "no host"),
        ("stun:x?transport=udp", "no query"), ("turn:x?transport=sctp", "unknown transport"), ("turn:x?", "?transport"),
        ("turn:x?transport=udp&a=b", "unknown transport"), ("turn:x?tls=1", "?transport"),
    ])
    func whatIsWrongIsSaid(_ text: String, _ message: String) throws {
        do {
            let uri = try ICEServerURI(parsing: text)
            Issue.record("\(text) was read as \(uri)")
        } catch { #expect("\(error)".contains(message), "\(text): \(error)") }
    }

    @Test func mutationsEndInAValueOrATypedError() {
        let seeds = ["turn:turn.example.org:80?transport=udp", "turns:[2001:db8::5]:443", "stun:192.0.2.1"]
        var mutations = Mutations(of: seeds.map { Array($0.utf8) }, seed: 7065)
        for _ in 0..<100_000 {
            let text = String(decoding: mutations.next(), as: UTF8.self)
            if let uri = try? ICEServerURI(parsing: text) {
                #expect((try? ICEServerURI(parsing: "\(uri)")) == uri, "\(text)")
            }
        }
    }
}
