/// What an input is, said by the user where its first bytes cannot tell, or where they come through a pipe.
///
/// - `rawvideo:640x480@30` or `rawvideo:640x480@30:yuv420p`: pictures without any header;
/// - `s16le:48000:2`, `f32le:16000`, `mulaw:8000:1`, …: samples without any header, mono where it is not said;
/// - any name FFmpeg has for a container, such as `y4m`, `wav`, `matroska`, `webm`, `mp4`, `ivf`, `ogg`, `mp3`, `h264`.
struct InputFormat: Hashable {
    /// FFmpeg's name of the demuxer.
    var demuxer: String
    /// FFmpeg's options for it.
    var options: [String: String] = [:]

    private static let aliases = [
        "y4m": "yuv4mpegpipe", "mkv": "matroska", "webm": "matroska", "mp4": "mov", "m4a": "mov", "ts": "mpegts",
        "ulaw": "mulaw", "pcmu": "mulaw", "pcma": "alaw", "adts": "aac",
    ]
    private static let samples: Set = [
        "s8", "u8", "s16le", "s16be", "u16le", "u16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "f64le",
        "f64be", "mulaw", "alaw",
    ]

    init(parsing text: String) throws(MediaError) {
        var fields = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let name = fields.removeFirst()
        demuxer = InputFormat.aliases[name] ?? name
        func refuse(_ expected: String) -> MediaError {
            MediaError(.invalidOption, path: "", "the input format \"\(text)\" is not understood.", advice: expected)
        }
        guard !demuxer.isEmpty, demuxer.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }) else {
            throw refuse("Give a name such as y4m, wav, rawvideo:640x480@30 or s16le:48000:2.")
        }
        if demuxer == "rawvideo" {
            let expected = "Write rawvideo:640x480@30 or rawvideo:640x480@30:yuv420p."
            let shape = fields.first?.split(separator: "@") ?? []
            guard (1...2).contains(fields.count), shape.count == 2, let size = VideoSize(shape[0]),
                size.width <= 8_192, size.height <= 8_192, let rate = Double(shape[1]), rate >= 1, rate <= 240
            else { throw refuse(expected) }
            options = ["video_size": "\(size)", "framerate": String(shape[1])]
            if fields.count == 2 {
                guard fields[1].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }) else {
                    throw refuse(expected)
                }
                options["pixel_format"] = fields[1]
            }
        } else if InputFormat.samples.contains(demuxer) {
            guard (1...2).contains(fields.count), let rate = Int(fields[0]), (1_000...768_000).contains(rate) else {
                throw refuse("Write \(name):48000 or \(name):48000:2.")
            }
            options = ["sample_rate": String(rate), "ch_layout": "mono"]
            if fields.count == 2 {
                guard let channels = Int(fields[1]), (1...64).contains(channels) else {
                    throw refuse("Write \(name):48000 or \(name):48000:2.")
                }
                options["ch_layout"] = channels == 1 ? "mono" : channels == 2 ? "stereo" : "\(channels) channels"
            }
        } else if !fields.isEmpty {
            throw refuse("Only rawvideo and raw samples take parameters.")
        }
    }
}
