/// The most allocations a media packet may cost in an engine, on the average of many frames.
struct CostLimits {
    var outbound: Double
    var inbound: Double
    var outboundFeedback: Double
    var inboundFeedback: Double

    /// Optimised builds.
    static let release = CostLimits(outbound: 3, inbound: 2, outboundFeedback: 2, inboundFeedback: 2)

    func breaches(of cost: EngineCost) -> [String] {
        [
            ("outbound", cost.allocations(cost.outbound), outbound),
            ("inbound", cost.allocations(cost.inbound), inbound),
            ("feedback received", cost.allocations(cost.outboundFeedback), outboundFeedback),
            ("feedback made", cost.allocations(cost.inboundFeedback), inboundFeedback),
        ].compactMap { name, value, limit in
            value <= limit ? nil : "\(name): \(value) allocations a packet, at most \(limit)"
        }
    }
}
