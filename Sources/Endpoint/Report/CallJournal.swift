import DTLSSRTP
import ICE
import Peer
import Primitives
import RTP

/// What one peer's call did, folded from its events and trace. Pure: the same journal comes of a live call, a simulated
/// one and a trace read back. The report and the diagnosis are made from it.
public struct CallJournal: Sendable {
    public private(set) var connectionState: ConnectionState = .new
    public private(set) var iceState: ICEConnectionState = .new
    public private(set) var wasConnected = false
    public private(set) var milestones: [Milestone: Instant] = [:]
    public private(set) var selectedPair: (local: Candidate, remote: Candidate)?
    public private(set) var localCandidates: [String] = []
    public private(set) var remoteCandidateProblems: [String] = []
    /// What STUN and TURN servers did not do, and why.
    public private(set) var serverProblems: [String] = []
    /// Whether a server that gave nothing is asked again.
    private var awaitsServer = false
    public private(set) var unreachable: [String: Int] = [:]
    public private(set) var drops: [DropReason: Int] = [:]
    public private(set) var refusedStreams: [String] = []
    public private(set) var connectionLosses = 0
    public private(set) var remoteBye = false
    /// Keys the other side pressed, each once, when it was over.
    public private(set) var telephoneEvents: [PressedKey] = []
    public private(set) var framesReceived: [String: Int] = [:]
    public private(set) var targetBitrate: Int?
    /// From where to where the pair in use moved while the call stood, the last few.
    public private(set) var movements: [(from: NetworkPath, to: NetworkPath)] = []
    public private(set) var movementCount = 0
    public private(set) var lastTrace: [String] = []

    public struct PressedKey: Hashable, Sendable {
        public var mid: String
        /// As RFC 4733 §3.2 numbers them.
        public var event: UInt8
        /// Empty for an event that is no key.
        public var digit: String
        public var length: TimeDelta
    }

    /// How many different facts of one sort are kept: a journal does not grow with the call (invariant 5).
    static let maximumFacts = 100
    static let maximumMovements = 10

    public init() {}

    public mutating func note(_ event: PeerEvent) {
        switch event {
        case .localCandidate(let candidate, _, _):
            if localCandidates.count < Self.maximumFacts { localCandidates.append(candidate.description) }
        case .iceStateChanged(let state): iceState = state
        case .connectionStateChanged(let state):
            if wasConnected, state == .disconnected { connectionLosses += 1 }
            if state != .closed || connectionState == .connected || connectionState == .new { connectionState = state }
        case .connected: wasConnected = true
        case .selectedPairChanged(let local, let remote): selectedPair = (local, remote)
        case .frame(_, let mid): framesReceived[mid, default: 0] += 1
        case .remoteBye: remoteBye = true
        case .targetBitrate(let rate): targetBitrate = rate
        case .telephoneEvent(let event, let mid):
            guard event.isEnd, telephoneEvents.count < Self.maximumFacts else { break }
            telephoneEvents.append(
                PressedKey(
                    mid: mid, event: event.event, digit: event.digit.map { String($0) } ?? "", length: event.length))
        default: break
        }
    }

    public mutating func note(_ entry: TraceEvent) {
        if case .ice(let trace) = entry.detail { return note(trace) }
        guard case .peer(let trace) = entry.detail else { return }
        switch trace {
        case .milestone(let milestone): milestones[milestone] = entry.time
        case .packetDropped(_, _, _, let reason): drops[reason, default: 0] += 1
        case .unreachable(let path, let reason):
            let key = "\(path.remote): \(reason)"
            if unreachable[key] != nil || unreachable.count < Self.maximumFacts { unreachable[key, default: 0] += 1 }
        case .remoteCandidateIgnored(let candidate, let reason):
            if remoteCandidateProblems.count < Self.maximumFacts {
                remoteCandidateProblems.append("\(candidate): \(reason)")
            }
        case .streamRefused(let ssrc, _, let reason):
            if refusedStreams.count < Self.maximumFacts { refusedStreams.append("SSRC \(ssrc): \(reason)") }
        default: break
        }
    }

    private mutating func note(_ trace: ICETrace) {
        if case .serverFailed(_, _, _, isFinal: false) = trace { awaitsServer = true }
        switch trace {
        case .serverFailed, .relayLost, .relayRefused:
            let problem = "\(trace)"
            if serverProblems.count < Self.maximumFacts, !serverProblems.contains(problem) {
                serverProblems.append(problem)
            }
        // One that moved from or to another candidate of the call's is no change of its mapping.
        case .moved(let from?, let to)
        where wasConnected && from.local == to.local && from.transport == to.transport && from.remote.ip == to.remote.ip:
            movementCount += 1
            if movements.count == Self.maximumMovements { movements.removeFirst() }
            movements.append((from, to))
        default: break
        }
    }

    /// Milliseconds from the moment both descriptions were known to a phase; gathering may well be before it.
    public func milliseconds(to milestone: Milestone) -> Double? {
        guard let origin = milestones[.bothDescriptionsKnown], let time = milestones[milestone] else { return nil }
        return (time - origin).seconds * 1000
    }

    /// Whether everything that could give a candidate was asked, and nothing did or will.
    public var hasGatheredNothing: Bool {
        milestones[.gatheringComplete] != nil && localCandidates.isEmpty && !awaitsServer
    }

    /// When the call stood: keys agreed, and media in if any came.
    public var setupMilliseconds: Double? {
        guard let dtls = milliseconds(to: .dtlsConnected) else { return nil }
        return milliseconds(to: .firstRTPReceived).map { max(dtls, $0) } ?? dtls
    }
}

extension CallJournal {
    /// Whether nothing further is to be expected of the call. ICE's failure is no end: checks of the other side are
    /// answered all the same, and it may yet come.
    public var hasFailed: Bool {
        if case .failed(let reason) = connectionState {
            if case .ice = reason { return false }
            return true
        }
        return false
    }

    /// Whether there is no path now, and there may be one again.
    public var isWithoutPath: Bool {
        if case .failed(.ice) = connectionState { return true }
        return connectionState == .disconnected
    }

    /// Whether the other side ended the call.
    public var wasClosedByPeer: Bool { connectionState == .closed }
}
