/// W3C `RTCIceTransportState`. `failed` can be left again: a check that is answered connects.
public enum ICEConnectionState: String, Hashable, Sendable {
    case new
    case checking
    case connected
    /// Connected, the pair nominated, and no further candidates to come from either side.
    case completed
    case disconnected
    case failed
    case closed
}
