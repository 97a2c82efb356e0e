import Foundation
import Testing

/// What `Scripts/measure-av` says of a recording, beside what was sent.
func measure(_ recording: String, source: String? = nil, _ options: [String] = [], scratch: Scratch) async throws
    -> JSON
{
    let arguments = [Fixture.script("measure-av"), recording] + (source.map { ["--source", $0] } ?? []) + options
    let ended = await (try Program(tool("python3"), arguments, scratch: scratch)).ended()
    let answer = try JSON(parsing: ended.output)
    #expect(answer["error"] == .null, "\(recording)")
    return answer
}

/// The packets of a track as ffprobe sees them.
func packets(_ path: String, _ kind: Character, scratch: Scratch) async throws -> [JSON] {
    let answer = try await run(
        "ffprobe",
        [
            "-v", "error", "-select_streams", "\(kind):0", "-show_packets", "-show_data_hash", "md5", "-of", "json",
            path,
        ],
        scratch: scratch)
    return try JSON(parsing: answer.output)["packets"].items
}

/// The streams of a file as ffprobe sees them, by kind. It must be readable without a complaint.
func streams(_ path: String, scratch: Scratch) async throws -> [String: JSON] {
    let answer = try await run(
        "ffprobe", ["-v", "error", "-show_streams", "-show_format", "-of", "json", path], scratch: scratch)
    #expect(answer.errors.isEmpty)
    let streams = try JSON(parsing: answer.output)["streams"].items
    return Dictionary(streams.map { ($0["codec_type"].text ?? "", $0) }) { first, _ in first }
}

/// That ffmpeg decodes the whole file without a complaint.
func expectPlayable(_ path: String, scratch: Scratch, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let ended = try await run("ffmpeg", ["-nostdin", "-v", "error", "-i", path, "-f", "null", "-"], scratch: scratch)
    #expect(ended.errors.isEmpty, "\(ended.errors.prefix(400))", sourceLocation: sourceLocation)
}

/// Bits a second of the frames of a track, by their number or their times.
func bitrate(of packets: [JSON], seconds: Double) -> Double {
    8 * packets.reduce(0) { $0 + ($1["size"].number ?? 0) } / seconds
}

/// PSNR in dB of the pictures of a file beside others, first with first.
func psnr(_ path: String, _ reference: String, scratch: Scratch) async throws -> Double {
    let ended = try await run(
        "ffmpeg",
        [
            "-nostdin", "-v", "info", "-i", path, "-i", reference, "-lavfi",
            "[0:v]settb=1/30,setpts=N,format=yuv420p[a];[1:v]settb=1/30,setpts=N,format=yuv420p[b];[a][b]psnr", "-f",
            "null", "-",
        ], scratch: scratch)
    let average = ended.errors.firstMatch(of: /PSNR.* average:([0-9.]+|inf)/).map { String($0.1) }
    return average == "inf" ? 100 : average.flatMap(Double.init) ?? 0
}

/// That a recording holds what was sent: codecs, lengths, no gap, flash and beep together.
func expectWhole(
    _ recording: String, source: String, kinds: [String] = ["audio", "video"], scratch: Scratch,
    sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    let answer = try await measure(recording, source: source, scratch: scratch)
    for kind in ["audio", "video"] {
        guard kinds.contains(kind) else {
            #expect(answer[kind] == .null, sourceLocation: sourceLocation)
            continue
        }
        let (track, given) = (answer[kind], answer["source"][kind])
        #expect(track["codec"].text == (kind == "video" ? "vp8" : "opus"), sourceLocation: sourceLocation)
        // What a decoder skips at the start was never meant to be heard.
        let length = (track["duration_s"].number ?? 0) + min(0, track["start_s"].number ?? 0)
        let sent = (given["duration_s"].number ?? 0) + min(0, given["start_s"].number ?? 0)
        let frame = kind == "video" ? 1.0 / 30 : 0.02
        #expect(
            abs(length - sent) <= frame + 0.001, "\(kind) lasts \(length) s, sent were \(sent) s",
            sourceLocation: sourceLocation)
        let gap = track["largest_gap_ms"].number ?? 0
        #expect(gap <= 1_000 * frame + 1.5, "\(kind): a gap of \(gap) ms", sourceLocation: sourceLocation)
        #expect(track["goes_back"] == .bool(false), sourceLocation: sourceLocation)
    }
    guard kinds.count == 2 else { return }
    let offset = answer["av_offset"]
    #expect((offset["pairs"].number ?? 0) >= 4, sourceLocation: sourceLocation)
    #expect(abs(offset["max_ms"].number ?? 1_000) <= 20, "\(offset)", sourceLocation: sourceLocation)
}
