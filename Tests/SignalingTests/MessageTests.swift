import FixtureSupport
import Primitives
import Testing

@testable import Signaling

@Suite struct MessageTests {
    @Test func jsonIsRead() throws {
        let document = try JSONText(parsing: #" {"a":[1,-2.5e1,true,null,"\u00e9\ud83d\ude00\n\/"],"b":{"c":""}} "#)
        #expect(
            document["a"]
                == .array([.number(1), .number(-25), .bool(true), .null, .string("é😀\n/")]))
        #expect(document["b"]?["c"]?.string == "")
        #expect(try JSONText(parsing: #""\ud800""#) == .string("\u{FFFD}"))
    }

    @Test(arguments: [
        "", "{", "}", "[1,]", #"{"a"}"#, #"{"a":}"#, #"{a:1}"#, "nul", "+1", "1 2", #""x"#, #""\x""#, #""\u12""#,
        "1e999",
        "\"\u{01}\"", #""\ud800\u0041""#, "--1",
    ])
    func whatIsNoJSONIsRefused(_ text: String) {
        #expect(throws: MessageError.self) { try JSONText(parsing: text) }
    }

    @Test func nestingIsBounded() throws {
        let depth = JSONText.maximumDepth
        _ = try JSONText(parsing: String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
        for count in [depth + 1, 200_000] {
            #expect(throws: MessageError.self) {
                try JSONText(parsing: String(repeating: "[", count: count) + String(repeating: "]", count: count))
            }
        }
    }

    @Test func stringsSurviveQuoting() throws {
        for text in ["", "\"\\\n\r\t\u{0}\u{1F}\u{7F}\u{2028}", "房间 é 😀"] {
            #expect(try JSONText(parsing: JSONText.quoted(text)) == .string(text))
        }
    }

    @Test func clientMessagesAreRead() throws {
        #expect(try ClientMessage(parsing: #"{"type":"join"}"#) == .join(session: nil, name: nil))
        #expect(try ClientMessage(parsing: #"{"type":"leave","x":1}"#) == .leave)
        for text in [
            #"{"type":"offer","sdp":"v=0"}"#, #"{"type":"candidate","candidate":null}"#,
            #"{"type":"candidate","candidate":{"candidate":"x","sdpMid":"0","sdpMLineIndex":0}}"#,
        ] {
            guard case .relayed(_, text) = try ClientMessage(parsing: text) else { return #expect(Bool(false)) }
        }
        let join = ClientMessage.join(session: "a\"b", name: "名")
        #expect(try ClientMessage(parsing: join.text) == join)
    }

    /// An old Android client's candidate has no type; it gets one.
    @Test func aCandidateWithoutATypeIsOne() throws {
        let text =
            #"{"candidate":{"candidate":"0:0:candidate:1 1 udp 1 10.0.0.9 5 typ host network-cost 50: ","sdpMid":"0"}}"#
        guard case .relayed(.candidate, let relayed) = try ClientMessage(parsing: text) else {
            return #expect(Bool(false))
        }
        #expect(try JSONText(parsing: relayed)["type"]?.string == "candidate")
        #expect(try JSONText(parsing: relayed)["candidate"]?["sdpMid"]?.string == "0")
    }

    @Test(arguments: [
        "[]", "{}", #"{"type":5}"#, #"{"type":"shout"}"#, #"{"type":"offer"}"#, #"{"type":"answer","sdp":7}"#,
        #"{"type":"offer","sdp":""}"#, #"{"type":"candidate"}"#, #"{"type":"candidate","candidate":3}"#,
        #"{"type":"candidate","candidate":"x","sdpMid":0}"#,
        #"{"type":"candidate","candidate":"x","sdpMLineIndex":"0"}"#,
        #"{"type":"join","session":1}"#, #"{"type":"join","name":[]}"#, #"{"type":"bye","reason":{}}"#,
    ])
    func malformedMessagesAreRefused(_ text: String) {
        #expect(throws: MessageError.self) { try ClientMessage(parsing: text) }
    }

    @Test func serverMessagesRoundTrip() throws {
        let messages: [ServerMessage] = [
            .joined(
                .init(
                    room: "r", id: "2", session: "s", resumed: true, polite: true, offers: false,
                    peers: [.init(id: "1", name: "a\"b")])),
            .peerJoined(.init(peer: .init(id: "1", name: nil), polite: false, offers: true, resumed: true)),
            .peerLeft(id: "1", reason: "left"), .error(code: .roomFull, message: "no", fatal: true),
            .relayed(#"{"type":"bye"}"#),
        ]
        for message in messages { #expect(try ServerMessage(parsing: message.text) == message) }
    }

    @Test func mutatedMessagesNeverTrap() {
        let seeds = [
            #"{"type":"join","session":"0123","name":"é😀"}"#,
            #"{"type":"candidate","candidate":{"candidate":"c","sdpMid":"0","sdpMLineIndex":0}}"#,
            #"{"type":"joined","room":"r","id":"1","session":"s","resumed":false,"polite":true,"offers":true,"peers":[{"id":"2"}]}"#,
        ].map { Array($0.utf8) }
        for seed in seeds {
            for length in 0..<seed.count {
                _ = try? ClientMessage(parsing: String(decoding: seed[..<length], as: UTF8.self))
            }
        }
        var mutations = Mutations(of: seeds, seed: 7)
        for _ in 0..<100_000 {
            let text = String(decoding: mutations.next(), as: UTF8.self)
            _ = try? ClientMessage(parsing: text)
            _ = try? ServerMessage(parsing: text)
        }
    }

    @Test func namesOfRoomsAreFileNames() {
        for good in ["a", "A-1_b.c", String(repeating: "x", count: 64)] { #expect(RoomName.isValid(good)) }
        for bad in ["", "a/b", "ä", " ", "a%20", String(repeating: "x", count: 65), "a\n"] {
            #expect(!RoomName.isValid(bad))
        }
        #expect(RoomName.inPath("/room/demo") == "demo" && RoomName.inPath("/rooms/demo") == nil)
    }
}
