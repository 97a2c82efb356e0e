import Primitives

/// A request under way.
struct TURNTransaction: Sendable {
    var request: TURNRequest
    var id: STUNTransactionID
    var bytes: [UInt8]
    var wasAuthenticated: Bool
    var firstSent: Instant
    /// When it is sent again or given up.
    var due: Instant
    var timeout: TimeDelta
    var sends = 1
    /// Nonces it was tried with before this one.
    var challenges = 0
    /// What came for it and could not be believed; the best explanation when nothing else comes.
    var problem: String?

    var method: STUNMessage.Method {
        switch request {
        case .allocate: .allocate
        case .refresh, .release: .refresh
        case .createPermission: .createPermission
        case .channelBind: .channelBind
        }
    }
}

/// The wait before a request is repeated, from measured round trips (RFC 6298 §2, RFC 8489 §6.2.1).
struct TURNRoundTrip: Sendable {
    private(set) var smoothed: TimeDelta?
    private var variation: TimeDelta = .zero

    mutating func note(_ sample: TimeDelta) {
        guard sample >= .zero else { return }
        guard let old = smoothed else {
            smoothed = sample
            variation = sample / 2
            return
        }
        let difference = sample > old ? sample - old : old - sample
        variation = variation + (difference - variation) / 4
        smoothed = old + (sample - old) / 8
    }

    func timeout(_ configuration: TURNAllocation.Configuration) -> TimeDelta {
        guard let smoothed else { return configuration.initialTimeout }
        return max(configuration.minimumTimeout, smoothed + max(.milliseconds(10), variation * Int64(4)))
    }
}
