import Foundation
import Glibc

extension FileHandle {
    /// Opens a file to write to, made where there is none. What is there stays what it is, a device or a pipe too:
    /// Foundation's `createFile` would put a regular file in its place.
    convenience init?(creating path: String, permissions: mode_t = 0o666, appending: Bool = false) {
        let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (appending ? O_APPEND : O_TRUNC)
        let descriptor = unsafe open(path, flags, permissions)
        guard descriptor >= 0 else { return nil }
        self.init(fileDescriptor: descriptor, closeOnDealloc: true)
    }
}
