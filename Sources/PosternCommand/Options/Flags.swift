import ArgumentParser
import Endpoint

struct CallFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What to send: a media file, test (a moving pattern with beeps), or - for a pipe.", valueName: "src"))
    var send: String?

    @Option(help: ArgumentHelp("Where to record: .webm .mkv .mp4 .wav .y4m .ogg by extension.", valueName: "out"))
    var record: String?

    @Option(help: ArgumentHelp("Hang up after this many seconds (30, 90s, 5m).", valueName: "s"))
    var duration: String?

    @Option(help: ArgumentHelp("Give up when no call stands after this time.", valueName: "s"))
    var setupTimeout: String = "75s"

    @Option(help: ArgumentHelp("Write the report as JSON (Docs/report.md); - is standard output.", valueName: "file"))
    var report: String?

    @Option(help: ArgumentHelp("Write the typed trace as JSON lines while the call goes on.", valueName: "file"))
    var events: String?

    @Option(
        help: ArgumentHelp(
            "A condition on the report, such as 'setup < 1s' or 'video.freezes == 0'. Repeatable.", valueName: "expr"))
    var expect: [String] = []

    @Option(help: ArgumentHelp("quiet, error, info or debug.", valueName: "level"))
    var logLevel: LogLevel = .info
}

struct MediaFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Video bit rate, such as 800k or 1.5M.", valueName: "rate"))
    var videoBitrate: String?

    @Option(help: ArgumentHelp("Audio bit rate, such as 32k.", valueName: "rate"))
    var audioBitrate: String?

    @Option(help: ArgumentHelp("Video size to send; the picture keeps its shape.", valueName: "WxH"))
    var videoSize: String?

    @Option(help: ArgumentHelp("Frames a second to send.", valueName: "n"))
    var fps: Double?

    @Flag(help: "Send the file's own VP8 and Opus frames, without decoding them.")
    var passthrough = false

    @Flag(help: "Begin again at the end of the source, until the call ends.")
    var loop = false

    @Flag(help: "Let Opus fall silent when there is nothing to hear (DTX).")
    var dtx = false

    @Option(
        help: ArgumentHelp(
            "What comes through --send -: y4m, wav, matroska, rawvideo:640x480@30:yuv420p, s16le:48000:2.",
            valueName: "format"))
    var inputFormat: String?
}

enum LogLevel: String, ExpressibleByArgument, CaseIterable {
    case quiet
    case error
    case info
    case debug
}
