import Foundation

/// A folder for one test, gone with it.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "postern-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

    func text(_ name: String) -> String { (try? String(contentsOfFile: file(name), encoding: .utf8)) ?? "" }

    /// Names of what is in it.
    var contents: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

enum Fixture {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// 6 s of 640x480 at 30 a second, H.264, and AAC: a flash and a beep each second.
    static let clip = media("clip-h264-aac.mp4")
    /// The same as VP8 and Opus.
    static let passable = media("clip-vp8-opus.webm")

    static func media(_ name: String) -> String { root + "/Fixtures/media/" + name }
    static func script(_ name: String) -> String { root + "/Scripts/" + name }
}
