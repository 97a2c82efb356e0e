import Foundation
import Primitives
import SimulatedNetwork
import Testing

/// What scenarios ask of a bench, in figures.
extension BoundaryBench {
    /// When both sides of a call had keys.
    func connectedAt(_ call: Int = 0) -> Instant? {
        guard let a = calls[call].phone.connectedAt, let b = calls[call].inside.connectedAt else { return nil }
        return Swift.max(a, b)
    }

    func connect(within limit: TimeDelta = .seconds(30)) throws {
        guard try run(until: now + limit, stop: { $0.areConnected }) else {
            let states = calls.map { "\($0.phone.state)/\($0.inside.state)" }
            throw BoundaryError("not connected within \(limit): \(states)", seed)
        }
    }

    /// Begins to measure gaps.
    func resetGaps() {
        for call in calls.indices {
            for side in Side.allCases {
                for key in self[call, side].received.keys { self[call, side].received[key]?.resetGaps() }
            }
        }
    }

    /// The longest time without audio in either direction since `resetGaps`, the one that lasts included.
    func gap(_ call: Int = 0) -> TimeDelta {
        var result = TimeDelta.zero
        for side in Side.allCases {
            guard let track = self[call, side].received["0"], let last = track.lastAt else { return .max }
            result = Swift.max(result, Swift.max(track.longestGap, now - last))
        }
        return result
    }

    /// Whether audio comes both ways, for a second from now.
    func hasMediaBothWays(_ call: Int = 0) throws -> Bool {
        let before = Side.allCases.map { self[call, $0].received["0"]?.count ?? 0 }
        try run(for: .seconds(1))
        let after = Side.allCases.map { self[call, $0].received["0"]?.count ?? 0 }
        return zip(before, after).allSatisfy { $1 - $0 >= 35 }
    }
}

/// What is done to the proxy.
extension BoundaryBench {
    /// Everything through the proxy is lost for so long.
    func proxyOutage(_ length: TimeDelta) {
        guard let proxy else { return }
        let link = simulation.backLink(of: proxy)
        var configuration = simulation.configuration(of: link)
        configuration.up.outages = [now..<now + length]
        configuration.down.outages = [now..<now + length]
        simulation.configure(link, configuration)
    }

    func flush() { if let proxy { simulation.flush(proxy) } }
}

/// The table of results: each scenario adds its rows; `Scripts/boundary-table` asks for them and prints them.
enum BoundaryTable {
    private static let path = ProcessInfo.processInfo.environment["BOUNDARY_TABLE"]
    private static let lock = NSLock()

    /// Seeds of a scenario: a few in the normal run, more where the table is made.
    static func seeds(_ few: Int, inTable many: Int) -> [UInt64] { Seeds.some(path == nil ? few : many) }

    /// A row, and the expectation that it passes.
    static func row(
        _ scenario: String, _ what: String, _ result: String, passes: Bool,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(passes, "\(scenario) \(what): \(result)", sourceLocation: sourceLocation)
        guard let path else { return }
        let line = "| \(scenario) | \(what) | \(result) | \(passes ? "pass" : "FAIL") |\n"
        lock.withLock {
            if !FileManager.default.fileExists(atPath: path) {
                _ = FileManager.default.createFile(atPath: path, contents: nil)
            }
            guard let handle = FileHandle(forWritingAtPath: path) else { return }
            _ = try? handle.seekToEnd()
            try? handle.write(contentsOf: Data(line.utf8))
            try? handle.close()
        }
    }
}

struct BoundaryError: Error, CustomStringConvertible {
    var description: String
    init(_ text: String, _ seed: UInt64) { description = "\(text) (seed \(seed))" }
}

extension TimeDelta {
    /// `0.12 s`.
    var short: String { self > .seconds(100_000) ? "for ever" : String(format: "%.2f s", seconds) }
}
