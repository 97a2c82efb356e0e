import ArgumentParser
import Endpoint
import Primitives

/// The longest time a flag takes: more than a year.
private let maximumDuration = 10_000.0 * 3600

/// `30`, `90s`, `500ms`, `5m`, `2h`.
func parseDuration(_ text: String, flag: String) throws -> TimeDelta {
    let units: [(String, Double)] = [("ms", 0.001), ("min", 60), ("s", 1), ("m", 60), ("h", 3600)]
    var number = text[...]
    var factor = 1.0
    for (suffix, value) in units where text.hasSuffix(suffix) {
        number = text.dropLast(suffix.count)
        factor = value
        break
    }
    guard let value = Double(number), value.isFinite, value > 0 else {
        throw ValidationError("\(flag) \(text): write a time above zero, such as 30, 90s, 500ms, 5m")
    }
    guard value * factor <= maximumDuration else {
        throw ValidationError("\(flag) \(text): that is too long; 10000h are the most")
    }
    return .seconds(value * factor)
}

/// `800000`, `800k`, `1.5M` bit/s.
func parseBitrate(_ text: String, flag: String, range: ClosedRange<Int>) throws -> Int {
    var number = text[...]
    var factor = 1.0
    for (suffix, value) in [("kbps", 1e3), ("mbps", 1e6), ("k", 1e3), ("m", 1e6)]
    where text.lowercased().hasSuffix(suffix) {
        number = text.dropLast(suffix.count)
        factor = value
        break
    }
    guard let value = Double(number), value.isFinite, range.contains(Int(exactly: (value * factor).rounded()) ?? -1)
    else {
        throw ValidationError(
            "\(flag) \(text): write bits a second from \(range.lowerBound) to \(range.upperBound), such as 800k or 1.5M"
        )
    }
    return Int((value * factor).rounded())
}

/// `640x480`.
func parseSize(_ text: String) throws -> (width: Int, height: Int) {
    let parts = text.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let width = parts[0], let height = parts[1], (16...4096).contains(width),
        (16...4096).contains(height)
    else { throw ValidationError("--video-size \(text): write WIDTHxHEIGHT from 16x16 to 4096x4096, such as 640x480") }
    return (width, height)
}

/// `30008-30208`, or one port.
func parsePortRange(_ text: String) throws -> ClosedRange<UInt16> {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
    guard (1...2).contains(parts.count), let first = parts.first ?? nil, let last = parts.last ?? nil, first > 0,
        first <= last
    else { throw ValidationError("--port-range \(text): write FIRST-LAST from 1 to 65535, such as 30008-30208") }
    return first...last
}

extension CallOptions {
    /// The flags as options, every value checked and named in its error.
    init(_ call: CallFlags, _ media: MediaFlags, _ network: NetworkFlags) throws {
        self.init()
        send = call.send
        record = call.record
        duration = try call.duration.map { try parseDuration($0, flag: "--duration") }
        setupTimeout = try parseDuration(call.setupTimeout, flag: "--setup-timeout")
        eventsPath = call.events
        reportPath = call.report
        for text in call.expect {
            do {
                expectations.append(try Expectation(parsing: text))
            } catch {
                throw ValidationError("\(error)")
            }
        }
        try apply(media)
        try apply(network)
    }

    /// Options of a gathering, which is no call.
    init(gathering network: NetworkFlags) throws {
        self.init()
        try apply(network)
    }

    /// Options of a call that is answered on demand.
    init(sending source: String?, _ media: MediaFlags, _ network: NetworkFlags) throws {
        self.init()
        send = source
        try apply(media)
        try apply(network)
    }

    private mutating func apply(_ flags: MediaFlags) throws {
        media.videoBitrate = try flags.videoBitrate.map {
            try parseBitrate($0, flag: "--video-bitrate", range: 10_000...100_000_000)
        }
        media.audioBitrate = try flags.audioBitrate.map {
            try parseBitrate($0, flag: "--audio-bitrate", range: 6_000...510_000)
        }
        media.videoSize = try flags.videoSize.map(parseSize)
        if let fps = flags.fps {
            guard fps >= 1, fps <= 120 else { throw ValidationError("--fps \(fps): write 1 to 120") }
            media.framesPerSecond = fps
        }
        media.passthrough = flags.passthrough
        media.loop = flags.loop
        media.dtx = flags.dtx
        media.inputFormat = flags.inputFormat
        if send == "-", flags.inputFormat == nil {
            throw ValidationError("--send - needs --input-format, such as y4m or s16le:48000:2")
        }
        if flags.inputFormat != nil, send == nil || send == "test" {
            throw ValidationError("--input-format says what comes through a pipe: it goes with --send -")
        }
    }
}
