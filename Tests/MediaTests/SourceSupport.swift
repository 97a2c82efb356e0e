import FixtureSupport
import Foundation
import Media
import Primitives

/// Programs that some tests compare with, and files made by them.
enum Tools {
    static func path(_ name: String) -> String? {
        ["/usr/bin/", "/usr/local/bin/"].map { $0 + name }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Runs a program to its end; its standard output.
    @discardableResult
    static func run(_ name: String, _ arguments: [String]) throws -> [UInt8] {
        guard let path = path(name) else { throw ToolFailure(text: "\(name) is not installed") }
        let task = Process()
        task.executableURL = URL(fileURLWithPath: path)
        task.arguments = arguments
        let output = Pipe()
        let log = FileManager.default.temporaryDirectory.appendingPathComponent("postern-\(UUID().uuidString).log")
        _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: log) }
        task.standardOutput = output
        task.standardError = try FileHandle(forWritingTo: log)
        task.standardInput = FileHandle.nullDevice
        try task.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        task.waitUntilExit()
        guard task.terminationStatus == 0 else {
            throw ToolFailure(text: "\(name): " + ((try? String(contentsOf: log, encoding: .utf8)) ?? ""))
        }
        return [UInt8](bytes)
    }

    static func ffmpeg(_ arguments: [String]) throws {
        try run("ffmpeg", ["-hide_banner", "-loglevel", "error", "-nostdin", "-y"] + arguments)
    }

    struct ToolFailure: Error { var text: String }
}

/// A folder that goes when the test does.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("postern-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }
    func write(_ bytes: [UInt8], to name: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }
}

/// A source pulled to its end, or to so many frames.
struct Pulled {
    var audio: [(time: TimeDelta, frame: EncodedFrame)] = []
    var video: [(time: TimeDelta, frame: EncodedFrame)] = []
    var timesInOrder = true
    var peeksAgree = true

    init(_ source: any MediaSource, until end: TimeDelta = .max) throws {
        var last = TimeDelta(nanoseconds: .min)
        while let peeked = try source.peekTime(), peeked < end, let next = try source.next() {
            if next.time != peeked { peeksAgree = false }
            if next.time < last { timesInOrder = false }
            last = next.time
            if next.frame.codec.kind == .audio { audio.append(next) } else { video.append(next) }
        }
    }

    init(_ path: String, until end: TimeDelta = .max, _ change: (inout SourceOptions) -> Void = { _ in }) throws {
        var options = SourceOptions()
        change(&options)
        let source = try MediaSources.open(path, options: options)
        try self.init(source, until: end)
        source.close()
    }

    var audioSteps: Set<Int64> { steps(audio) }
    var videoSteps: Set<Int64> { steps(video) }

    private func steps(_ frames: [(time: TimeDelta, frame: EncodedFrame)]) -> Set<Int64> {
        Set(zip(frames.dropFirst(), frames).map { $0.frame.timestamp - $1.frame.timestamp })
    }

    /// The pictures, decoded.
    func pictures() throws -> [VideoFrame] {
        let decoder = try VP8Decoder()
        return try video.compactMap { try decoder.decode($0.frame.payload, time: $0.time) }
    }

    /// The sound, decoded, from the first frame on; gaps are closed up.
    func sound() throws -> [Int16] {
        let decoder = try OpusDecoder(channels: 1)
        return try audio.flatMap { try decoder.decode($0.frame.payload).int16 }
    }

    /// Media times at which the picture turns white, and at which sound sets in after silence.
    func flashes() throws -> [TimeDelta] {
        var white = false
        return try pictures().compactMap { picture in
            defer { white = picture.meanLuma > 215 }
            return picture.meanLuma > 215 && !white ? picture.time : nil
        }
    }

    /// Less the delay that our encoder puts on everything.
    func beeps(delay: Int64 = 312) throws -> [TimeDelta] {
        guard let first = audio.first else { return [] }
        let start = first.frame.timestamp
        var quietSince = -48_000
        var found: [TimeDelta] = []
        for (index, value) in try sound().enumerated() where abs(Int32(value)) > 3_000 {
            if index - quietSince > 9_600 {
                found.append(.seconds(Double(start + Int64(index) - delay) / 48_000))
            }
            quietSince = index
        }
        return found
    }
}

enum Quality {
    /// Peak signal-to-noise ratio of luma in dB.
    static func psnr(_ a: VideoFrame, _ b: VideoFrame) -> Double {
        var sum = 0
        let count = Swift.min(a.lumaRange.count, b.lumaRange.count)
        unsafe a.bytes.withUnsafeBufferPointer { a in
            unsafe b.bytes.withUnsafeBufferPointer { b in
                for index in 0..<count {
                    let difference = unsafe Int(a[index]) &- Int(b[index])
                    sum &+= difference &* difference
                }
            }
        }
        return sum == 0 ? 99 : 10 * log10(255 * 255 * Double(count) / Double(sum))
    }

    /// Signal-to-noise ratio in dB of `received` against `sent`, which it lags by `delay` samples.
    static func snr(sent: [Int16], received: [Int16], delay: Int) -> Double {
        var signal = 0.0
        var noise = 0.0
        for (index, value) in sent.enumerated() where index + delay < received.count {
            let error = Double(received[index + delay]) - Double(value)
            signal += Double(value) * Double(value)
            noise += error * error
        }
        return noise == 0 ? 99 : 10 * log10(signal / noise)
    }
}

/// Pictures that are hard to code, from a seed: noise seen through a window that jumps.
struct NoisyScene {
    let size: VideoSize
    private var random: RandomSource
    private let texture: [UInt8]
    private let side = 512

    init(_ size: VideoSize, seed: UInt64) {
        self.size = size
        random = .seeded(seed)
        var generator = random.split()
        let coarse = generator.bytes(64 * 64)
        let fine = generator.bytes(512 * 512)
        texture = fine.indices.map { at -> UInt8 in
            let (y, x) = (at / 512, at % 512)
            let block: UInt8 = coarse[y / 8 * 64 + x / 8]
            return block / 2 + 50 + fine[at] / 12
        }
    }

    mutating func frame(_ number: Int) -> VideoFrame {
        let left = Int.random(in: 0..<side - size.width, using: &random)
        let top = Int.random(in: 0..<side - size.height, using: &random)
        var bytes: [UInt8] = []
        for y in top..<top + size.height {
            bytes.append(contentsOf: texture[y * side + left..<y * side + left + size.width])
        }
        bytes.append(contentsOf: repeatElement(128, count: size.width * size.height / 2))
        return VideoFrame(
            width: size.width, height: size.height, bytes: bytes,
            time: .seconds(Double(number) / 30)) ?? VideoFrame(width: size.width, height: size.height)
    }
}

/// Sound with the traits of a voice: a gliding pitch with harmonics, in syllables.
func voice(seconds: Double, rate: Int = 48_000) -> [Int16] {
    var phase = 0.0
    return (0..<Int(seconds * Double(rate))).map { index in
        let time = Double(index) / Double(rate)
        let pitch = 140 + 60 * sin(2 * .pi * 1.3 * time) + 25 * sin(2 * .pi * 4.1 * time)
        phase += 2 * .pi * pitch / Double(rate)
        let syllable = 0.25 + 0.75 * abs(sin(2 * .pi * 2.2 * time))
        var value = 0.0
        for harmonic in 1...8 { value += sin(Double(harmonic) * phase) / Double(harmonic) }
        return Int16(value * syllable * 8_000)
    }
}

func tone(_ frequency: Double, seconds: Double, rate: Int, amplitude: Double = 12_000) -> [Int16] {
    (0..<Int(seconds * Double(rate))).map {
        Int16((amplitude * sin(2 * .pi * frequency * Double($0) / Double(rate))).rounded())
    }
}
