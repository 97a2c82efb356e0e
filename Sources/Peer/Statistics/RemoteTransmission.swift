import Primitives
import RTP

/// What the sender of a stream we receive said of it (W3C RTCRemoteOutboundRtpStreamStats).
struct RemoteTransmission: Hashable, Sendable {
    private(set) var packetsSent: UInt32 = 0
    private(set) var bytesSent: UInt32 = 0
    /// Sender reports that came.
    private(set) var reportsSent: UInt64 = 0
    /// The sender's wall clock in its last report, milliseconds since the Unix epoch.
    private(set) var timestamp: Double?
    /// By our reference times and the answers to them (RFC 3611 §4.5), where we send no media ourselves.
    private(set) var roundTripTime: TimeDelta?
    private(set) var totalRoundTripTime: TimeDelta = .zero
    private(set) var roundTripTimeMeasurements: UInt64 = 0

    mutating func note(_ report: SenderReport) {
        packetsSent = report.packetCount
        bytesSent = report.octetCount
        reportsSent &+= 1
        let seconds = Double(report.ntp.rawValue >> 32) - 2_208_988_800
        timestamp = (seconds + Double(report.ntp.rawValue & 0xFFFF_FFFF) / 0x1p32) * 1000
    }

    /// The path to a sender is the path to all its streams: whoever of them answers, the measurement is of each.
    mutating func note(roundTrip measured: TimeDelta) {
        roundTripTime = measured
        totalRoundTripTime += measured
        roundTripTimeMeasurements &+= 1
    }
}
