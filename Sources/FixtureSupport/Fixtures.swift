import Foundation

/// Files under Fixtures/, found from the place of this source file.
public enum Fixtures {
    public static var folder: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures").path
    }

    /// The path of a fixture, such as `sdp/chromium-156-offer.sdp`.
    public static func path(_ name: String) -> String { folder + "/" + name }

    /// The bytes of a fixture; a missing one is an error that names the path.
    public static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    public static func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

    /// Names of the fixtures in a folder, sorted, without hidden ones.
    public static func names(in subfolder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path(subfolder)).filter { !$0.hasPrefix(".") }.sorted()
            .map { subfolder + "/" + $0 }
    }
}
