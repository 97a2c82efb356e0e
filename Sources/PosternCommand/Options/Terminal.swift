import Endpoint
import Foundation
import Locks
import Primitives

/// Standard error for people: a live status line on a terminal, plain lines in a pipe.
final class Terminal: CallReporter {
    private let level: LogLevel
    private let isInteractive: Bool
    private let hasStatusLine = Locked(false)

    init(level: LogLevel) {
        self.level = level
        isInteractive = isatty(2) == 1
    }

    func log(_ level: CallLogLevel, _ message: String) {
        guard wants(level) else { return }
        endStatusLine()
        write("postern: " + message + "\n")
    }

    func status(_ status: CallStatus) {
        guard wants(.info) else { return }
        var parts = [
            clock(status.time), "out \(rate(status.bitrateOut))", "in \(rate(status.bitrateIn))",
            "\(Int(max(status.framesPerSecondIn, status.framesPerSecondOut).rounded())) fps",
            "loss \(String(format: "%.1f", status.lossFraction * 100)) %",
        ]
        if let roundTrip = status.roundTripMilliseconds { parts.append("RTT \(String(format: "%.1f", roundTrip)) ms") }
        if let pair = status.pair { parts.append(pair) }
        let line = parts.joined(separator: "  ")
        if isInteractive {
            hasStatusLine.withLock { $0 = true }
            write("\r\u{1B}[K" + line)
        } else {
            write(line + "\n")
        }
    }

    func endStatusLine() {
        let had = hasStatusLine.withLock { had in
            defer { had = false }
            return had
        }
        if had { write("\n") }
    }

    private func wants(_ level: CallLogLevel) -> Bool {
        switch self.level {
        case .quiet: false
        case .error: level == .error
        case .info: level <= .info
        case .debug: true
        }
    }

    private func write(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }

    private func clock(_ time: TimeDelta) -> String {
        let seconds = Int(time.seconds)
        return String(format: "%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    private func rate(_ bitsPerSecond: Int) -> String {
        bitsPerSecond >= 1_000_000
            ? String(format: "%.2f Mbit/s", Double(bitsPerSecond) / 1e6) : "\(bitsPerSecond / 1000) kbit/s"
    }
}
