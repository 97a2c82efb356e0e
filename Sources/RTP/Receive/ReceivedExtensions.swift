import Primitives

/// The header extensions that a receive stream itself heeds, read in one walk over a packet's elements. What concerns
/// routing (MID, RID) and congestion (transport-wide numbers) is read by the owner.
struct ReceivedExtensions: Hashable, Sendable {
    struct Found: Hashable, Sendable {
        /// As in `EncodedFrame`.
        var audioLevel: UInt8?
        /// As in `EncodedFrame`.
        var quarterTurns: UInt8?
        var playoutDelay: PlayoutDelay?
        /// By the sender's clock.
        var captureTime: NTPTime?
    }

    // 0 where an extension is not in use; no element bears it.
    private let audioLevel: UInt8
    private let videoOrientation: UInt8
    private let playoutDelay: UInt8
    private let absoluteCaptureTime: UInt8
    let areAny: Bool

    init(_ map: HeaderExtensionMap) {
        audioLevel = map[.audioLevel] ?? 0
        videoOrientation = map[.videoOrientation] ?? 0
        playoutDelay = map[.playoutDelay] ?? 0
        absoluteCaptureTime = map[.absoluteCaptureTime] ?? 0
        areAny = audioLevel | videoOrientation | playoutDelay | absoluteCaptureTime != 0
    }

    func read(_ header: RTPHeader, in bytes: [UInt8]) -> Found {
        var found = Found()
        header.extensions.forEach(in: bytes) { id, range in
            switch id {
            case audioLevel: found.audioLevel = AudioLevel(parsing: bytes, in: range)?.byte
            case videoOrientation:
                found.quarterTurns = VideoOrientation(parsing: bytes, in: range).map {
                    UInt8(truncatingIfNeeded: $0.rotation / 90)
                }
            case playoutDelay: found.playoutDelay = PlayoutDelay(parsing: bytes, in: range)
            case absoluteCaptureTime:
                // Captured elsewhere (a mixer's source): the offset brings it to the sender's clock, which is common
                // to all it sends.
                found.captureTime = AbsoluteCaptureTime(parsing: bytes, in: range).map {
                    NTPTime(rawValue: $0.captured.rawValue &- UInt64(bitPattern: $0.clockOffset ?? 0))
                }
            default: break
            }
        }
        return found
    }
}
