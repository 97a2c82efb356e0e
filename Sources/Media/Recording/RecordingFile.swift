import Glibc

/// The file under a recording: plain writes, whose first failure is kept with its error number.
///
/// What is written is the kernel's at once, so it outlives a killed process. After a failure nothing more is written, and
/// `rescue()` cuts the file back to the last point where it was whole.
final class RecordingFile {
    let path: String
    /// Whether it is a regular file: it can be patched, cut and removed.
    let isRegular: Bool
    private let descriptor: Int32
    private let isNew: Bool
    private var isOpen = true
    private(set) var position: Int64 = 0
    private(set) var size: Int64 = 0
    /// Bytes from the start that can be played by themselves.
    private var wholeSize: Int64 = 0
    private(set) var failure: RecordingError?

    /// Opens or makes the file; what is in it stays until `begin()`.
    init(path: String, existing: RecordingOptions.ExistingFile) throws(RecordingError) {
        self.path = path
        let flags = O_RDWR | O_CLOEXEC
        var file = unsafe open(path, flags | O_CREAT | O_EXCL, 0o644)
        isNew = file >= 0
        if file < 0, errno == EEXIST {
            if existing == .refuse, RecordingFile.isRegular(path) {
                throw RecordingError(
                    .fileExists, path: path, detail: "the file is there already",
                    advice: "choose another name or allow it to be replaced")
            }
            file = unsafe open(path, flags)
            // A pipe or a terminal may be open for writing only.
            if file < 0, errno == EACCES || errno == EINVAL { file = unsafe open(path, O_WRONLY | O_CLOEXEC) }
        }
        guard file >= 0 else { throw RecordingFile.error(errno, path) }
        descriptor = file
        var status = stat()
        isRegular = unsafe fstat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    deinit { if isOpen { _ = Glibc.close(descriptor) } }

    /// Empties it before the first write.
    func begin() {
        if isRegular, !isNew, ftruncate(descriptor, 0) != 0 { fail(errno) }
    }

    /// Writes at the current position. Returns whether all went well, now and before.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool { unsafe bytes.withUnsafeBytes { unsafe write($0) } }

    @discardableResult
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard failure == nil, isOpen else { return false }
        var rest = unsafe bytes
        while let base = rest.baseAddress, rest.count > 0 {
            let count = unsafe Glibc.write(descriptor, base, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                fail(errno)
                return false
            }
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            position += Int64(count)
            size = Swift.max(size, position)
        }
        return true
    }

    /// Moves to an offset from the start; `nil` where the file has no positions.
    func seek(to offset: Int64) -> Int64? {
        guard isRegular, isOpen, lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) else { return nil }
        position = offset
        return offset
    }

    /// Writes over bytes already there, after a failure too; the position stays.
    func patch(_ bytes: [UInt8], at offset: Int64) {
        guard isRegular, isOpen, offset >= 0, offset + Int64(bytes.count) <= size else { return }
        let count = unsafe bytes.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
        if count < 0 { fail(errno) }
    }

    /// The first bytes of the file, at most `count`.
    func head(_ count: Int) -> [UInt8] {
        guard isRegular, isOpen else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            used = unsafe Swift.max(0, pread(descriptor, buffer.baseAddress, count, 0))
        }
    }

    /// Says that the file is whole up to its end.
    func noteWhole() { if failure == nil { wholeSize = size } }

    /// After a failure: cuts off what was half written.
    func rescue() {
        guard isRegular, isOpen, failure != nil, wholeSize < size, ftruncate(descriptor, off_t(wholeSize)) == 0 else {
            return
        }
        size = wholeSize
    }

    /// Closes; removes a file that was made here and has nothing in it.
    func close() {
        guard isOpen else { return }
        isOpen = false
        if Glibc.close(descriptor) != 0, errno != EINTR { fail(errno) }
        if isRegular, isNew, size == 0 { _ = unsafe unlink(path) }
    }

    private func fail(_ code: Int32) { failure = failure ?? RecordingFile.error(code, path) }

    private static func isRegular(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    static func error(_ code: Int32, _ path: String) -> RecordingError {
        let detail = unsafe String(cString: strerror(code))
        func error(_ reason: RecordingError.Reason, _ advice: String) -> RecordingError {
            RecordingError(reason, path: path, detail: detail, advice: advice)
        }
        switch code {
        case ENOSPC, EDQUOT: return error(.diskFull, "make room on that file system or record to another")
        case EFBIG: return error(.fileTooLarge, "raise the limit (ulimit -f) or record to another file system")
        case ENOENT, ENOTDIR: return error(.folderMissing, "make the folder first")
        case EACCES, EPERM, EROFS: return error(.notPermitted, "choose a path you may write to")
        case EISDIR: return error(.isFolder, "name a file in it")
        default: return error(.inputOutput(code: code), "see whether the device is sound, or record elsewhere")
        }
    }
}
