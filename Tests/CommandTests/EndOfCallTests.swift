import Foundation
import Testing

/// A signal ends a call politely: what was recorded is whole, both sides end well.
@Suite struct EndOfCallTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func seconds(_ path: String) async throws -> Double {
        let answer = try await measure(path, scratch: scratch)
        return answer["video"]["duration_s"].number ?? 0
    }

    @Test(arguments: [SIGTERM, SIGINT]) func aSignalEndsALoopbackWell(_ signal: Int32) async throws {
        let recording = scratch.file("out.webm")
        let ended = try await Places.calls.taking { [scratch] in
            let program = try Program(
                posternPath,
                [
                    "loopback", "--send", "test", "--record", recording, "--report", scratch.file("r.json"), "--events",
                    scratch.file("e.ndjson"),
                ], scratch: scratch)
            try await Task.sleep(for: .seconds(3))
            program.signal(signal)
            return await program.ended(within: 15)
        }
        #expect(ended.status == 0 && !ended.wasSignalled, "\(ended.errors)")
        try await expectPlayable(recording, scratch: scratch)
        #expect(try await seconds(recording) > 1)
        let report = try JSON(file: scratch.file("r.json"))
        #expect(report["outcome"].text == "completed" && report["exitCode"].integer == 0)
        // The trace is written to its last line.
        let lines = scratch.text("e.ndjson").split(separator: "\n")
        #expect(lines.count > 20 && (try? JSON(parsing: String(lines.last ?? ""))) != nil)
    }

    @Test(arguments: [PipedCall.Side.offerer, .answerer]) func aSignalToOneSideEndsBoth(
        _ side: PipedCall.Side
    ) async throws {
        let (here, there) = (scratch.file("here.webm"), scratch.file("there.webm"))
        try await Places.calls.taking { [scratch] in
            let (toAnswerer, toOfferer) = (Relay(), Relay())
            let answerer = try Program(
                posternPath, ["call", "stdio:answer", "--send", "test", "--record", there], scratch: scratch,
                input: toAnswerer.sink, output: toOfferer.source)
            let offerer = try Program(
                posternPath, ["call", "stdio:offer", "--send", "test", "--record", here], scratch: scratch,
                input: toOfferer.sink, output: toAnswerer.source)
            toAnswerer.start()
            toOfferer.start()
            try await Task.sleep(for: .seconds(4))
            (side == .offerer ? offerer : answerer).signal(SIGTERM)
            async let first = offerer.ended(within: 15)
            async let second = answerer.ended(within: 15)
            for ended in [await first, await second] {
                #expect(ended.status == 0 && !ended.wasSignalled, "\(ended.errors)")
            }
        }
        for recording in [here, there] {
            try await expectPlayable(recording, scratch: scratch)
            #expect(try await seconds(recording) > 1, "\(recording)")
        }
    }

    /// Before there is a call, a signal ends the waiting at once and leaves nothing.
    @Test func aSignalEndsTheWaitForTheOtherSide() async throws {
        let ended = try await Places.calls.taking { [scratch] in
            let input = Pipe()
            let program = try Program(
                posternPath, ["call", "stdio:answer", "--record", scratch.file("out.webm")], scratch: scratch,
                input: input)
            try await Task.sleep(for: .seconds(1))
            program.signal(SIGINT)
            let ended = await program.ended(within: 10)
            try? input.fileHandleForWriting.close()
            return ended
        }
        #expect(!ended.wasSignalled && [0, 13].contains(ended.status), "\(ended.status) \(ended.errors)")
        #expect(!scratch.exists("out.webm"))
    }

    /// One of the two dies: the other ends by itself, says so, and keeps what it has.
    @Test func aSideThatDiesIsNoticed() async throws {
        let recording = scratch.file("out.webm")
        try await Places.calls.taking { [scratch] in
            let (toAnswerer, toOfferer) = (Relay(), Relay())
            let answerer = try Program(
                posternPath, ["call", "stdio:answer", "--record", recording, "--duration", "8"], scratch: scratch,
                input: toAnswerer.sink, output: toOfferer.source)
            let offerer = try Program(
                posternPath, ["call", "stdio:offer", "--send", "test"], scratch: scratch, input: toOfferer.sink,
                output: toAnswerer.source)
            toAnswerer.start()
            toOfferer.start()
            try await Task.sleep(for: .seconds(4))
            offerer.signal(SIGKILL)
            let ended = await answerer.ended(within: 60)
            // 22 where checks went unanswered for long enough, 0 where its time was up before.
            #expect(!ended.wasSignalled && [0, 22].contains(ended.status), "\(ended.errors)")
            _ = await offerer.ended()
        }
        try await expectPlayable(recording, scratch: scratch)
        #expect(try await seconds(recording) > 1)
    }
}
