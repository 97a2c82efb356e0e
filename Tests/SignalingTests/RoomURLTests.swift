import Testing

@testable import Signaling

@Suite struct RoomURLTests {
    @Test func roomsAreFound() throws {
        let url = try RoomURL(parsing: "ws://127.0.0.1:8099/room/demo?token=a%20b")
        #expect(
            url.host == "127.0.0.1" && url.port == 8099 && url.room == "demo" && !url.isSecure && url.token == "a b")
        #expect(!"\(url)".contains("a%20b"))
        let other = try RoomURL(parsing: "wss://[2001:db8::1]/pc/room/x.y#frag")
        #expect(other.host == "2001:db8::1" && other.port == 443 && other.path == "/pc/room/x.y" && other.isSecure)
        #expect(other.authority == "[2001:db8::1]:443")
    }

    @Test(arguments: [
        "", "http://h/room/x", "ws://", "ws:///room/x", "ws://h", "ws://h/room/", "ws://h/x", "ws://h:0/room/x",
        "ws://h:x/room/x",
        "ws://u:p@h/room/x", "ws://[::1/room/x", "ws://h/room/a b", "ws://h/room/ä", "ws://h\n/room/x",
        "ws://::1/room/x",
    ])
    func whatLeadsToNoRoomIsRefused(_ text: String) {
        #expect(throws: MessageError.self) { try RoomURL(parsing: text) }
    }
}
