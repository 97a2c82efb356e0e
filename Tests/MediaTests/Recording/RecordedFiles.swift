import Foundation
import Primitives
import Testing

@testable import Media

/// ffmpeg and ffprobe, which judge what the recorder wrote.
enum FFmpegTools {
    static let areInstalled = ["ffmpeg", "ffprobe"].allSatisfy { name in
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
            .contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
    }

    struct Failed: Error, CustomStringConvertible {
        var description: String
    }

    /// What the program wrote to its standard output, and to its error output.
    static func run(_ arguments: [String]) throws -> (output: String, errors: String, status: Int32) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let words = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (text, words, process.terminationStatus)
    }

    static func ffmpeg(_ arguments: [String]) throws {
        let result = try run(["ffmpeg", "-nostdin", "-v", "error", "-y"] + arguments)
        guard result.status == 0 else { throw Failed(description: result.errors) }
    }

    /// Decodes everything; the errors are what ffmpeg complains of.
    static func complaints(_ path: String) throws -> String {
        try run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-f", "null", "-"]).errors
    }
}

/// What ffprobe says of a file, all its packets counted.
struct ProbedFile {
    struct Stream {
        var codec = ""
        var packets = 0
        var width = 0
        var height = 0
        var start = 0.0
        var rate = 0
        var channels = 0
        var padding = 0
    }
    var streams: [Stream] = []
    var duration: Double?
    /// Presentation times by codec, in seconds.
    var times: [String: [Double]] = [:]

    subscript(codec: String) -> Stream? { streams.first { $0.codec == codec } }

    init(_ path: String) throws {
        let result = try FFmpegTools.run([
            "ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format", "-show_packets", "-of",
            "json", path,
        ])
        guard result.status == 0,
            let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        else { throw FFmpegTools.Failed(description: "\(path): \(result.errors)") }
        var names: [Int: String] = [:]
        for stream in json["streams"] as? [[String: Any]] ?? [] {
            func number(_ key: String) -> Int { stream[key] as? Int ?? Int(stream[key] as? String ?? "") ?? 0 }
            let codec = stream["codec_name"] as? String ?? ""
            names[number("index")] = codec
            streams.append(
                Stream(
                    codec: codec, packets: number("nb_read_packets"), width: number("width"), height: number("height"),
                    start: Double(stream["start_time"] as? String ?? "") ?? .nan, rate: number("sample_rate"),
                    channels: number("channels"), padding: number("initial_padding")))
        }
        duration = ((json["format"] as? [String: Any])?["duration"] as? String).flatMap(Double.init)
        for packet in json["packets"] as? [[String: Any]] ?? [] {
            guard let name = names[packet["stream_index"] as? Int ?? -1],
                let time = (packet["pts_time"] as? String).flatMap(Double.init)
            else { continue }
            times[name, default: []].append(time)
        }
    }

    func largestStep(_ codec: String) -> Double {
        let times = times[codec] ?? []
        return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? 0
    }
}

/// A folder that goes when the test ends.
final class ScratchFolder {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "postern-recording-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func callAsFunction(_ name: String) -> String { path + "/" + name }
    static func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

/// Encoded frames as they would be received, in order of their times.
struct ReceivedMedia {
    var frames: [(frame: EncodedFrame, kind: MediaKind, time: TimeDelta)] = []

    /// The packets of a file that holds VP8 and Opus, as received with a delay of 50 ms.
    /// - Parameter startsAtZero: moves both tracks to start at zero; otherwise the times are those of the file, without
    ///   the delay of the codec.
    init(file: String, startsAtZero: Bool = true) throws {
        let container = try InputContainer(path: file, format: nil)
        defer { container.close() }
        let base: [MediaKind: Int64] = [.audio: 4_000_000_000, .video: 123_456]
        // FFmpeg 5.1 writes the codec's delay into its own files in another way than 6 does.
        var starts: [MediaKind: TimeDelta] = [:]
        while let packet = try container.read() {
            let start = starts[packet.kind] ?? packet.time ?? .zero
            starts[packet.kind] = start
            let time = (packet.time ?? .zero) - (startsAtZero ? start : .milliseconds(packet.kind == .audio ? -7 : 0))
            let rate: Int64 = packet.kind == .audio ? 48_000 : 90_000
            let ticks = (time.nanoseconds / 1_000 * rate + 500_000) / 1_000_000
            frames.append(
                (
                    EncodedFrame(
                        codec: packet.kind == .audio ? .opus : .vp8, payload: packet.bytes,
                        timestamp: (base[packet.kind] ?? 0) + ticks, arrival: .zero + time + .milliseconds(50)),
                    packet.kind, time
                ))
        }
        frames.sort { $0.time < $1.time }
    }

    init(_ frames: [(frame: EncodedFrame, kind: MediaKind, time: TimeDelta)]) { self.frames = frames }

    /// Six seconds, made once: a test picture of 320x240, white for 100 ms of each second while a beep of 1 kHz sounds.
    static let clip: Result<ReceivedMedia, any Error> = Result {
        let folder = try ScratchFolder()
        let file = folder("clip.webm")
        try FFmpegTools.ffmpeg(clipArguments(seconds: 6) + [file])
        return try ReceivedMedia(file: file)
    }

    static func clipArguments(seconds: Int, size: String = "320x240") -> [String] {
        let picture = "testsrc=s=\(size):r=30:d=\(seconds),drawbox=c=white:t=fill:enable='lt(mod(t+0.001,1),0.1)'"
        let tone = "aevalsrc=exprs='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':s=48000:c=mono:d=\(seconds)"
        return [
            "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, "-c:v", "libvpx", "-b:v", "300k", "-deadline",
            "realtime", "-cpu-used", "8", "-g", "60", "-auto-alt-ref", "0", "-c:a", "libopus", "-b:a", "32k",
        ]
    }

    func only(_ kind: MediaKind) -> ReceivedMedia { ReceivedMedia(frames.filter { $0.kind == kind }) }
    func from(_ start: TimeDelta, _ kind: MediaKind) -> ReceivedMedia {
        ReceivedMedia(frames.filter { $0.kind != kind || $0.time >= start })
    }
    func without(_ range: Range<Int64>, _ kind: MediaKind, loss: Bool = true) -> ReceivedMedia {
        var result = ReceivedMedia(frames.filter { $0.kind != kind || !range.contains($0.time.milliseconds) })
        if let next = result.frames.firstIndex(where: { $0.kind == kind && $0.time.milliseconds >= range.upperBound }) {
            result.frames[next].frame.followsLoss = loss
        }
        return result
    }
    /// The same frames again, later.
    func repeated(after: TimeDelta, shift: [MediaKind: Int64] = [:]) -> ReceivedMedia {
        ReceivedMedia(
            frames
                + frames.map { item in
                    var frame = item.frame
                    let rate: Int64 = item.kind == .audio ? 48 : 90
                    frame.timestamp += after.milliseconds * rate + (shift[item.kind] ?? 0)
                    frame.arrival = item.frame.arrival.map { $0 + after }
                    return (frame, item.kind, item.time + after)
                })
    }

    func count(_ kind: MediaKind) -> Int { frames.count { $0.kind == kind } }

    /// Writes it all with sender reports at the start.
    func record(
        to path: String, tracks: [TrackExpectation] = [TrackExpectation(.audio), TrackExpectation(.video)],
        options: RecordingOptions = RecordingOptions(), each: (Recorder, Int) throws -> Void = { _, _ in }
    ) throws -> RecordingSummary {
        let recorder = try Recorder(path: path, tracks: tracks, options: options)
        try play(into: recorder, each: each)
        return try recorder.finish()
    }

    func play(into recorder: Recorder, each: (Recorder, Int) throws -> Void = { _, _ in }) throws {
        var reported: Set<MediaKind> = []
        for (index, item) in frames.enumerated() {
            if reported.insert(item.kind).inserted {
                recorder.noteSenderReport(
                    track: item.kind, ntp: NTPTime(unixNanoseconds: 1_700_000_000_000_000_000 + item.time.nanoseconds),
                    rtp: item.frame.timestamp)
            }
            try recorder.write(item.frame, track: item.kind)
            try each(recorder, index)
        }
    }
}
