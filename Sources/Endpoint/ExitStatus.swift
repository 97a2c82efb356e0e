/// The exit codes of `postern`, documented in Docs/exit-codes.md and stable: scripts rely on them.
public enum ExitStatus: Int32, Hashable, Sendable, CaseIterable {
    case success = 0
    /// Something Postern did not expect; a bug report is welcome.
    case unexpected = 1
    /// The media file to send is missing, empty, corrupt, or of a codec that cannot be used.
    case mediaInput = 10
    /// The recording could not be made or went on no further (path, permission, disk full).
    case recording = 11
    /// The network could not be set up: ports taken, no such interface, host name not found.
    case network = 12
    /// What the other side sent over signalling is malformed or cannot be agreed on, or signalling ended.
    case signaling = 13
    /// No candidate pair worked.
    case ice = 20
    /// DTLS did not complete: timeout, wrong fingerprint, no common profile.
    case dtls = 21
    /// The call was up and was lost: consent expired and did not come back.
    case lost = 22
    /// The call stood, but an `--expect` did not hold.
    case expectation = 30
    /// The command line is wrong (sysexits EX_USAGE).
    case usage = 64

    public var meaning: String {
        switch self {
        case .success: "the call was held and every expectation was met"
        case .unexpected: "unexpected failure"
        case .mediaInput: "the media to send cannot be used"
        case .recording: "the recording failed"
        case .network: "the network could not be set up"
        case .signaling: "signalling failed"
        case .ice: "ICE found no working pair"
        case .dtls: "DTLS failed"
        case .lost: "the call was lost"
        case .expectation: "an expectation was not met"
        case .usage: "wrong usage"
        }
    }
}
