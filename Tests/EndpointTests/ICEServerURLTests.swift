import Endpoint
import Testing

@Suite struct ICEServerURLTests {
    @Test(arguments: [
        ("stun:stun.example.org", "stun:stun.example.org:3478"), ("stun:192.0.2.1:19302", "stun:192.0.2.1:19302"),
        ("STUN:[2001:db8::1]:5000", "stun:[2001:db8::1]:5000"), ("stun:[::1]", "stun:[::1]:3478"),
    ])
    func reads(_ text: String, _ canonical: String) throws {
        #expect(try ICEServerURL(parsing: text).description == canonical)
    }

    @Test(arguments: [
        "", "stun", "stun:", "stun:host:0", "stun:host:65536", "stun:host:x", "stun:2001:db8::1", "stun:[::1",
        "stun:[1.2.3.4]", "stun://host", "stun:host?transport=udp", "http:host", "turn:host:3478", "stun:a b",
    ])
    func refuses(_ text: String) {
        #expect(throws: ICEServerError.self) { try ICEServerURL(parsing: text) }
    }
}
