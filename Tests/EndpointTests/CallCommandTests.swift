import Endpoint
import FixtureSupport
import Primitives
import Testing

/// The commands to a running call, as text.
@Suite struct CallCommandTests {
    @Test(
        arguments: [
            ("hold", .hold), ("  RESUME  ", .resume), ("restart", .restart), ("keyframe\r", .keyframe),
            ("hangup", .hangUp), ("mute", .mute([.audio, .video])), ("mute audio", .mute([.audio])),
            ("unmute Video", .unmute([.video])), ("unmute", .unmute([.audio, .video])), ("add video", .add(.video)),
            ("remove audio", .remove(.audio)), ("send test", .send("test")),
            ("send  /a folder/with a  space.mp4 ", .send("/a folder/with a  space.mp4")),
            ("keys 12a#,*", .keys("12A#,*")),
        ] as [(String, CallCommand)])
    func areRead(line: String, command: CallCommand) throws {
        #expect(try CallCommand(parsing: line) == command)
        #expect(try CallCommand(parsing: command.description) == command)
    }

    @Test(
        arguments: [
            ("", "'' is no command; there are hold, resume"), ("fly", "'fly' is no command; there are hold"),
            ("hold on", "hold on: hold takes nothing after it"), ("hangup now", "hangup takes nothing"),
            ("mute sound", "mute sound: write mute audio or mute video"), ("add", "write add audio or add video"),
            ("remove both", "write remove audio or remove video"), ("send", "send: name a media file, or test"),
            ("send -", "send: name a media file"), ("keys", "write keys of 0-9 A-D * # and commas"),
            ("keys 5E", "write keys of 0-9"), ("keys " + String(repeating: "1", count: 101), "a hundred at most"),
            (String(repeating: "x", count: 5_000), "a line of 5000 bytes; 4096 are the most"),
        ]) func whatIsNoneIsRefusedByName(line: String, message: String)
    {
        do {
            let command = try CallCommand(parsing: line)
            Issue.record("'\(line)' was taken for \(command)")
        } catch {
            #expect("\(error)".contains(message), "\(error)")
            #expect("\(error)".utf8.count < 400)
        }
    }

    /// Whatever bytes come, a command or a refusal; and a command says itself as it is read.
    @Test func mutatedLinesNeverTrap() {
        var random = RandomSource.seeded(61)
        let verbs = [
            "hold", "mute audio", "send clip.mp4", "keys 123#", "add video", "remove", "hangup", "é ü", "\u{0}",
        ]
        for _ in 0..<100_000 {
            var bytes = Array(verbs[Int(random.next() % UInt64(verbs.count))].utf8)
            for _ in 0..<(random.next() % 4) {
                let place = Int(random.next() % UInt64(bytes.count + 1))
                if random.next() % 2 == 0 || place == bytes.count {
                    bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                } else {
                    bytes.remove(at: place)
                }
            }
            guard let command = try? CallCommand(parsing: String(decoding: bytes, as: UTF8.self)) else { continue }
            #expect((try? CallCommand(parsing: command.description)) == command)
        }
    }
}
