import DTLSSRTP
import ICE
import Peer
import Primitives
import RTP
import SDP
import SimulatedNetwork

enum Side: Int, CaseIterable {
    case left, right
    var other: Side { self == .left ? .right : .left }
}

/// One engine with its synthetic media and all it ever said that a scenario may ask for.
final class ScenarioPeer {
    let side: Side
    let host: HostID
    var engine: PeerEngine
    var out = PeerEngine.Output()
    var tracks: [SyntheticTrack] = []
    /// Of the first track added on, each in the order of transceivers.
    var received: [String: ReceivedTrack] = [:]
    var isThorough = false
    /// Sees every event.
    var onEvent: ((PeerEvent, Instant) -> Void)?

    private(set) var state = ConnectionState.new
    private(set) var states: [(at: Instant, state: ConnectionState)] = []
    private(set) var iceStates: [(at: Instant, state: ICEConnectionState)] = []
    private(set) var connectedAt: Instant?
    private(set) var keyframeRequests = 0
    private(set) var targetBitrate: Int?
    private(set) var selectedPairs: [(at: Instant, local: Candidate, remote: Candidate)] = []
    private(set) var localCandidates: [CandidateAttribute] = []
    private(set) var isGatheringComplete = false
    private(set) var senderReports = 0
    private(set) var byes = 0
    private(set) var drops: [DropReason: Int] = [:]
    private(set) var refusedStreams = 0
    private(set) var milestones: [Milestone: Instant] = [:]
    private(set) var traceCount = 0
    /// Kept only where asked for.
    private(set) var trace: [TraceEvent] = []
    var keepsTrace = false
    /// A digest of the text of every trace entry, where asked for.
    var digestsTrace = false
    private(set) var traceDigest = Digest()

    init(side: Side, host: HostID, engine: PeerEngine) {
        self.side = side
        self.host = host
        self.engine = engine
    }

    var isConnected: Bool { state == .connected }
    var failure: FailureReason? { if case .failed(let reason) = state { reason } else { nil } }

    var deadline: Instant? { tracks.reduce(engine.deadline) { earliest($0, $1.deadline) } }

    /// The first section of a kind that this peer sends or receives.
    func track(_ kind: MediaKind) -> SyntheticTrack? { tracks.first { $0.kind == kind } }

    func startTracks(at now: Instant) {
        for index in tracks.indices { tracks[index].start(at: now) }
    }

    /// Takes in what the outbox says; the driver takes the datagrams and passes on what is for signalling.
    func note(_ event: PeerEvent, at now: Instant) {
        onEvent?(event, now)
        switch event {
        case .connectionStateChanged(let new):
            state = new
            states.append((now, new))
        case .iceStateChanged(let new): iceStates.append((now, new))
        case .connected:
            connectedAt = connectedAt ?? now
            startTracks(at: now)
        case .frame(let frame, let mid):
            var track = received.removeValue(forKey: mid) ?? ReceivedTrack()
            track.isThorough = isThorough
            track.note(frame, at: now)
            received[mid] = track
        case .keyframeRequested(let mid):
            keyframeRequests += 1
            for index in tracks.indices where tracks[index].mid == mid { tracks[index].requestKeyframe() }
        case .targetBitrate(let rate):
            targetBitrate = rate
            let others = tracks.filter { $0.kind == .audio && !$0.isPaused }.map(\.rateWithHeaders).reduce(0, +)
            for index in tracks.indices { tracks[index].follow(target: rate - others) }
        case .selectedPairChanged(let local, let remote): selectedPairs.append((now, local, remote))
        case .localCandidate(let candidate, _, _): localCandidates.append(candidate)
        case .gatheringComplete: isGatheringComplete = true
        case .senderReport: senderReports += 1
        case .remoteBye: byes += 1
        default: break
        }
    }

    func note(_ entry: TraceEvent) {
        traceCount += 1
        if keepsTrace { trace.append(entry) }
        if digestsTrace { traceDigest.combine(Array("\(entry)".utf8)) }
        guard case .peer(let peer) = entry.detail else { return }
        switch peer {
        case .milestone(let milestone): milestones[milestone] = entry.time
        case .packetDropped(_, _, _, let reason): drops[reason, default: 0] += 1
        case .streamRefused: refusedStreams += 1
        default: break
        }
    }

    /// A number of the first statistics object of a type.
    func statistic(_ name: String, of type: StatisticsType, kind: MediaKind? = nil, at now: Instant) -> Double? {
        engine.statistics(at: now).objects(of: type)
            .first { kind == nil || $0["kind"] == .string(kind?.rawValue ?? "") }?[name]?.asDouble
    }
}
