/// The two bits with which routers say "congestion" without losing the packet (RFC 3168 §5).
public enum ECN: UInt8, Hashable, Sendable {
    case notCapable = 0
    case ect1 = 1
    case ect0 = 2
    case congestionExperienced = 3

    /// From the TOS or traffic class byte, whose lower two bits they are.
    @inlinable public init(trafficClass: UInt8) {
        switch trafficClass & 3 {
        case 1: self = .ect1
        case 2: self = .ect0
        case 3: self = .congestionExperienced
        default: self = .notCapable
        }
    }
}
