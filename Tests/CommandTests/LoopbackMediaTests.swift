import Testing

/// A call on sockets, in real time: what is sent is what is recorded.
@Suite struct LoopbackMediaTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func call(_ clip: String, _ recording: String, _ more: [String] = []) async throws -> JSON {
        let ended = try await postern(
            ["loopback", "--send", clip, "--record", recording, "--report", scratch.file("report.json")] + more,
            scratch: scratch)
        #expect(ended.status == 0, "\(ended.errors)")
        #expect(ended.output.isEmpty)
        return try JSON(file: scratch.file("report.json"))
    }

    @Test func clipBecomesARecording() async throws {
        let recording = scratch.file("out.webm")
        let report = try await call(Fixture.clip, recording)
        try await expectWhole(recording, source: Fixture.clip, scratch: scratch)
        #expect(report["outcome"].text == "completed" && report["exitCode"].integer == 0)
        #expect(report["video"]["framesSent"].integer == 180 && report["video"]["framesReceived"].integer == 180)
        #expect(report["audio"]["framesReceived"].integer == report["audio"]["framesSent"].integer)
        #expect(report["recording"]["tracks"].items.map { $0["gapCount"].integer } == [0, 0])
        #expect((report["timings"]["firstRTPIn"].number ?? -1) > 0)
    }

    /// The pictures are as good as libvpx makes them outside a call.
    @Test func picturesAreWithinOneDecibelOfVpxenc() async throws {
        let recording = scratch.file("out.webm")
        _ = try await call(Fixture.clip, recording, ["--video-bitrate", "600k"])
        let (raw, theirs) = (scratch.file("clip.y4m"), scratch.file("vpxenc.webm"))
        try await run(
            "ffmpeg", ["-nostdin", "-v", "error", "-i", Fixture.clip, "-map", "0:v", "-pix_fmt", "yuv420p", raw],
            scratch: scratch)
        let ours = try await packets(recording, "v", scratch: scratch)
        #expect(ours.count == 180)
        let rate = bitrate(of: ours, seconds: 6)
        var target = rate
        for _ in 0..<3 {
            try await run(
                "vpxenc",
                [
                    "--codec=vp8", "--rt", "--cpu-used=-6", "--threads=1", "--webm", "-o", theirs,
                    "--target-bitrate=\(Int(target / 1_000))", raw,
                ], scratch: scratch)
            let found = bitrate(of: try await packets(theirs, "v", scratch: scratch), seconds: 6)
            if abs(found - rate) < rate / 50 { break }
            target *= rate / found
        }
        let (mine, other) = (
            try await psnr(recording, raw, scratch: scratch), try await psnr(theirs, raw, scratch: scratch)
        )
        #expect(other > 30 && mine >= other - 1, "\(mine) dB, vpxenc \(other) dB at \(Int(rate)) bit/s")
    }

    @Test(arguments: ["audio", "video"]) func oneKindAlone(_ kind: String) async throws {
        let (clip, recording) = (scratch.file("clip.mp4"), scratch.file("out.webm"))
        try await run(
            "ffmpeg",
            ["-nostdin", "-v", "error", "-i", Fixture.clip, kind == "audio" ? "-vn" : "-an", "-c", "copy", clip],
            scratch: scratch)
        let report = try await call(clip, recording)
        try await expectWhole(recording, source: clip, kinds: [kind], scratch: scratch)
        #expect(report[kind == "audio" ? "video" : "audio"] == .null)
    }

    @Test func passthroughKeepsEveryByte() async throws {
        let recording = scratch.file("out.webm")
        _ = try await call(Fixture.passable, recording, ["--passthrough"])
        try await expectWhole(recording, source: Fixture.passable, scratch: scratch)
        for kind in ["a", "v"] as [Character] {
            let sent = try await packets(Fixture.passable, kind, scratch: scratch).map { $0["data_hash"].text }
            let got = try await packets(recording, kind, scratch: scratch).map { $0["data_hash"].text }
            #expect(sent.count > 100 && got == sent, "\(kind)")
        }
    }
}
