/// Which frames a connection still takes when bytes wait to leave it.
///
/// A connection that is slower than what is sent on it makes everything late, and late media is worse than lost media, which is
/// seen, repaired or adapted to. So media is dropped in whole frames while more than `media` bytes wait; what keeps the call alive
/// (checks, DTLS, RTCP) is little and is taken up to `everything`.
public struct FrameAdmission: Hashable, Sendable {
    /// Half a second of 1.5 Mbit/s.
    public var media = 96_000
    public var everything = 262_144

    public init() {}

    public func admits(_ frame: [UInt8], queued: Int) -> Bool {
        guard frame.count <= 65_535, queued + frame.count <= everything else { return false }
        return queued <= media || !Self.isMedia(frame)
    }

    /// RTP, and not RTCP, by the first two bytes (RFC 7983 §7, RFC 5761 §4).
    private static func isMedia(_ frame: [UInt8]) -> Bool {
        guard frame.count >= 2, frame[0] >> 6 == 2 else { return false }
        return !(192...223).contains(frame[1])
    }
}
