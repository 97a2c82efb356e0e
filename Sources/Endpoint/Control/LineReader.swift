import Foundation

/// Lines of a file, a pipe or standard input, each as soon as its end is there.
enum LineReader {
    /// Reads until the end, on the caller's thread.
    ///
    /// - Parameter limit: bytes of a line that are kept, and one more, so that who takes it sees that it is too long.
    static func read(_ file: FileHandle, limit: Int, _ take: (String) -> Void) {
        var pending: [UInt8] = []
        while true {
            // Whatever is there, at once: a line must not wait for its followers.
            let data = file.availableData
            guard !data.isEmpty else { break }
            for byte in data {
                if byte == 0x0A {
                    take(String(decoding: pending, as: UTF8.self))
                    pending.removeAll(keepingCapacity: true)
                } else if pending.count <= limit {
                    pending.append(byte)
                }
            }
        }
        if !pending.isEmpty { take(String(decoding: pending, as: UTF8.self)) }
    }
}
