import CFFmpeg
import Glibc
import Locks

/// Keeps FFmpeg's error lines from stderr and hands them to whoever ran the call that caused them.
///
/// FFmpeg has one log callback a process and calls it on the thread that logs. The lines wait here, at most 64,
/// marked with their thread; `FFmpegLog.lines` takes those of the calling thread.
enum FFmpegLog {
    private struct Line {
        var thread: UInt
        var text: String
    }
    private static let waiting = Locked<[Line]>([])
    private static let installed: Void = {
        postern_ffmpeg_install_log()
    }()

    /// Takes the log over from stderr; to be called before anything of FFmpeg. Cheap to call again.
    static func install() { _ = installed }

    static func forget() { _ = lines() }

    /// The lines that calls on this thread have logged since this was last asked, at most 16.
    static func lines() -> [String] {
        let thread = UInt(pthread_self())
        return waiting.withLock { waiting in
            let own = waiting.filter { $0.thread == thread }.map(\.text)
            waiting.removeAll { $0.thread == thread }
            return own.suffix(16)
        }
    }

    static func receive(_ text: String) {
        let trimmed = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        guard !trimmed.isEmpty else { return }
        let thread = UInt(pthread_self())
        waiting.withLock { waiting in
            if waiting.count >= 64 { waiting.removeFirst() }
            waiting.append(Line(thread: thread, text: trimmed))
        }
    }

    /// FFmpeg's words for an error code.
    static func text(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard unsafe av_strerror(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

@_cdecl("postern_ffmpeg_log_line")
func receiveFFmpegLogLine(_ level: Int32, _ line: UnsafePointer<CChar>?) {
    guard let line = unsafe line else { return }
    FFmpegLog.receive(unsafe String(cString: line))
}
