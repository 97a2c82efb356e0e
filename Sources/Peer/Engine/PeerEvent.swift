import DTLSSRTP
import ICE
import Primitives
import RTP
import SDP

/// What the engine tells the application, in order, through the outbox.
public enum PeerEvent: Sendable {
    /// A candidate to trickle. The generation's ufrag is in it.
    case localCandidate(CandidateAttribute, mid: String, mLineIndex: Int)
    /// No further local candidate will come (RFC 8838 §8.2 end-of-candidates).
    case gatheringComplete
    case iceStateChanged(ICEConnectionState)
    case connectionStateChanged(ConnectionState)
    case selectedPairChanged(local: Candidate, remote: Candidate)
    /// The call stood, and the other side has been silent for so long that it may begin again only with an ICE restart
    /// (browsers are mute 16 s after the last answer). To be offered by whoever carries descriptions, with `createOffer(
    /// iceRestart: true)`: ports stay. Told again every 30 s while it lasts.
    case restartWanted(silence: TimeDelta)
    /// Encrypted media flows from here on. Sources start on this.
    case connected
    /// A frame of a track, in decoding order.
    case frame(EncodedFrame, mid: String)
    /// The NTP time that belongs to an RTP timestamp of a track, from a sender report: what A/V sync is made of.
    case senderReport(mid: String, ntp: NTPTime, timestamp: Int64)
    /// The sender's clock when what bears an extended RTP timestamp was captured (abs-capture-time): stands in for sender
    /// reports where those are missing.
    case captureTime(mid: String, ntp: NTPTime, timestamp: Int64)
    /// The other side cannot decode and asks for a keyframe (PLI or FIR).
    case keyframeRequested(mid: String)
    /// Transceivers changed so that an exchange is due (W3C `negotiationneeded`): make an offer. Told once until then.
    case negotiationNeeded
    /// What the encoders together may use, in bit/s, from congestion control.
    case targetBitrate(Int)
    /// The fraction of our packets the other side misses, 0 ... 1, for the encoder's in-band FEC.
    case lossReported(mid: String, fraction: Double)
    /// A telephone event (DTMF) so far; `isEnd` tells the last of it.
    case telephoneEvent(ReceivedTelephoneEvent, mid: String)
    /// A TURN server is reached by TCP or TLS: a connection is to be made (`relayConnected`, `relayDisconnected`).
    case relayConnectionWanted(RelayServer)
    /// A candidate came under a `.local` name (RFC 6762): look it up and tell `resolveRemoteName`.
    case nameResolutionWanted(String)
    /// The other side said goodbye for a stream (RTCP BYE).
    case remoteBye(mid: String)
    /// An SSLKEYLOGFILE line, where key logging was asked for.
    case keyLog(String)
}

/// The state of the whole connection (W3C RTCPeerConnectionState).
public enum ConnectionState: Hashable, Sendable {
    case new
    case connecting
    case connected
    /// Consent is gone or checks go unanswered; it may come back.
    case disconnected
    case failed(FailureReason)
    case closed
}

/// Why a connection failed, in terms of the layer that failed.
public enum FailureReason: Hashable, Sendable {
    case ice(String)
    case dtls(DTLSError)
    case negotiation(String)
}
