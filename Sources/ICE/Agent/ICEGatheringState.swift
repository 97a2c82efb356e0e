/// W3C `RTCIceGatheringState`.
public enum ICEGatheringState: String, Hashable, Sendable {
    case new
    case gathering
    case complete
}
