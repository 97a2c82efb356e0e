import Foundation
import Testing

/// Simulated calls of the command line.
@Suite struct VirtualLoopbackTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func call(_ network: String, seed: Int, _ name: String) async throws -> (report: String, events: String) {
        let ended = try await postern(
            [
                "loopback", "--virtual", "--network", network, "--seed", "\(seed)", "--send", Fixture.passable,
                "--passthrough", "--record", scratch.file("out.webm"), "--report", scratch.file(name + ".json"),
                "--events", scratch.file(name + ".ndjson"),
            ], scratch: scratch)
        #expect(ended.status == 0, "\(ended.errors)")
        return (scratch.text(name + ".json"), scratch.text(name + ".ndjson"))
    }

    /// One seed, one call: report and trace to the byte. Another seed, another call.
    @Test(arguments: ["rtt=100ms,loss=3%,jitter=20ms", "rtt=40ms,nat=symmetric/cone", "rate=800kbps,queue=200ms"])
    func oneSeedGivesOneCall(_ network: String) async throws {
        let first = try await call(network, seed: 7, "first")
        let second = try await call(network, seed: 7, "second")
        let other = try await call(network, seed: 8, "other")
        #expect(first.report.count > 2_000 && first.events.count > 5_000)
        #expect(first.report == second.report)
        #expect(first.events == second.events)
        #expect(first.events != other.events)
    }
}
