import Primitives

/// What the engine waits for. A driver that is woken too often can say by what.
public enum PeerTimer: String, Hashable, Sendable, CaseIterable {
    /// Checks, consent, patience, gathering.
    case ice
    /// Repetition of a handshake flight.
    case dtls
    /// Packets held back for the rate, padding of a probe.
    case pacing
    /// RTCP, regular or feedback that waited for room.
    case reports
    /// Transport-wide feedback on what came.
    case transportFeedback
    /// Silence of the far end's feedback, and probes without a result.
    case bandwidth
    /// NACKs, patience of a jitter buffer, keyframe requests.
    case receiving
    /// The next packet of a key held down.
    case telephoneEvents
}

extension PeerEngine {
    /// When a timer is next due; `nil` means that it does not run.
    public func deadline(of timer: PeerTimer) -> Instant? {
        switch timer {
        case .ice: return ice.deadline
        case .dtls: return dtls?.deadline
        case _ where srtp == nil || isClosed: return nil
        case .pacing: return pacer.deadline
        case .reports: return reports.deadline
        case .transportFeedback: return transportFeedback.deadline
        case .bandwidth: return bandwidth.deadline
        case .receiving: return receivers.indices.reduce(nil) { earliest($0, receivers[at: $1].stream.deadline) }
        case .telephoneEvents: return nextTelephoneEvent
        }
    }

    /// The timer that comes first.
    public var nextTimer: PeerTimer? {
        var next: (timer: PeerTimer, at: Instant)?
        for timer in PeerTimer.allCases {
            if let at = deadline(of: timer), next.map({ at < $0.at }) ?? true { next = (timer, at) }
        }
        return next?.timer
    }

    /// When `advance(to:)` is next due; `nil` means nothing is waited for.
    public var deadline: Instant? {
        var result = earliest(ice.deadline, dtls?.deadline)
        guard srtp != nil, !isClosed else { return result }
        result = earliest(result, pacer.deadline)
        result = earliest(result, reports.deadline)
        result = earliest(result, transportFeedback.deadline)
        result = earliest(result, bandwidth.deadline)
        result = earliest(result, nextTelephoneEvent)
        return earliest(result, deadline(of: .receiving))
    }
}
