/// The most a media packet of 1,200 bytes may cost in an engine, on the average of many frames of 16 packets.
///
/// One allocation is the packet's own bytes, on either side; the rest is a frame's or a report's share. The limits leave
/// room for a change of such a share, not for one allocation more a packet. Allocated bytes tell of copies: the sender
/// makes the packet, the receiver reads it and copies it once more into the frame.
struct CostLimits {
    var outbound: Double
    var inbound: Double
    var outboundFeedback: Double
    var inboundFeedback: Double
    var outboundBytes: Double
    var inboundBytes: Double

    /// Measured 1.04, 1.06, 0.20, 0.37 and, in bytes, 1,196 and 2,243.
    static let optimised = CostLimits(
        outbound: 1.5, inbound: 1.5, outboundFeedback: 0.5, inboundFeedback: 0.75, outboundBytes: 1_700,
        inboundBytes: 2_800)

    /// Without optimisation every temporary is an allocation, so that only copies of packets can be told. Measured 3,600
    /// and 2,765 bytes.
    static let unoptimised = CostLimits(
        outbound: .infinity, inbound: .infinity, outboundFeedback: .infinity, inboundFeedback: .infinity,
        outboundBytes: 4_400, inboundBytes: 3_500)

    /// For the way this build is compiled.
    static var current: CostLimits {
        #if DEBUG
            unoptimised
        #else
            optimised
        #endif
    }

    /// Through a TURN server: ChannelData, measured 2.05, 1.06, 0.21, 0.39 and 2,371 and 2,247 bytes: what is sent is made
    /// anew with four bytes before it, what comes is cut out in place. Indications are STUN messages, measured 17.1, 22.1,
    /// 0.89, 0.90 and 4,295 and 7,512 bytes; calls send few of them.
    static func relayed(_ form: RelayedBench.Form) -> CostLimits {
        #if DEBUG
            CostLimits(
                outbound: .infinity, inbound: .infinity, outboundFeedback: .infinity, inboundFeedback: .infinity,
                outboundBytes: 9_000, inboundBytes: 12_000)
        #else
            switch form {
            case .channelData:
                CostLimits(
                    outbound: 2.5, inbound: 1.5, outboundFeedback: 0.5, inboundFeedback: 0.75, outboundBytes: 3_000,
                    inboundBytes: 2_800)
            case .indications:
                CostLimits(
                    outbound: 18, inbound: 23, outboundFeedback: 1.5, inboundFeedback: 1.5, outboundBytes: 5_000,
                    inboundBytes: 8_300)
            }
        #endif
    }

    func breaches(of cost: EngineCost) -> [String] {
        [
            ("outbound: allocations", cost.allocations(cost.outbound), outbound),
            ("inbound: allocations", cost.allocations(cost.inbound), inbound),
            ("feedback received: allocations", cost.allocations(cost.outboundFeedback), outboundFeedback),
            ("feedback made: allocations", cost.allocations(cost.inboundFeedback), inboundFeedback),
            ("outbound: bytes allocated", cost.bytes(cost.outbound), outboundBytes),
            ("inbound: bytes allocated", cost.bytes(cost.inbound), inboundBytes),
        ].compactMap { name, value, limit in
            value <= limit ? nil : "\(name) \(value) a packet, at most \(limit)"
        }
    }
}
