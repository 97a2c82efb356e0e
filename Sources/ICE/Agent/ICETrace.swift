import Primitives

/// What happened inside, for people and for the diagnosis that is a fold over it.
public enum ICETrace: Hashable, Sendable {
    case checkSent(NetworkPath, CheckPurpose, useCandidate: Bool)
    case checkSucceeded(NetworkPath, roundTrip: TimeDelta, mapped: TransportAddress?)
    case checkFailed(NetworkPath, CheckFailure)
    case requestAnswered(NetworkPath, useCandidate: Bool)
    case requestRefused(NetworkPath, STUNErrorCode)
    /// Authenticated and remembered, because the remote description or a base is not known yet.
    case requestKept(NetworkPath, remoteUfrag: String)
    case indicationReceived(NetworkPath)
    case dropped(NetworkPath, ICEDropReason)
    case pairAdded(NetworkPath, local: CandidateType, remote: CandidateType)
    case pairRemoved(NetworkPath, because: String)
    case pairStateChanged(NetworkPath, from: CandidatePair.State, to: CandidatePair.State)
    case nominating(NetworkPath)
    case nominated(NetworkPath)
    /// The other side may have moved: the newcomer and the incumbent are both asked.
    case challenged(incumbent: NetworkPath, by: NetworkPath)
    /// The incumbent answered; nothing moves.
    case challengeDeclined(incumbent: NetworkPath, by: NetworkPath)
    case moved(from: NetworkPath?, to: NetworkPath)
    /// The other side sees us at an address that is none of ours: we are behind a NAT or a proxy.
    case seenAs(NetworkPath, mapped: TransportAddress)
    case unreachable(NetworkPath, reason: String)
    /// A TCP connection is being made; stands, from that address of ours or accepted; could not be made or ended.
    case connecting(NetworkPath)
    case connected(NetworkPath, from: TransportAddress?)
    case connectionEnded(NetworkPath, reason: String)
    case remoteCandidate(Candidate)
    /// A rule of the mapping held for our socket, a candidate of the other side, a server.
    case localMapped(base: TransportAddress, announced: TransportAddress?, rule: String)
    case remoteMapped(signaled: TransportAddress, used: TransportAddress, rule: String)
    case serverMapped(url: String, used: TransportAddress, rule: String)
    /// Answered from elsewhere, which was allowed.
    case asymmetricAnswer(NetworkPath, from: TransportAddress)
    case restartWanted(silence: TimeDelta)
    case candidateIgnored(Candidate, ICECandidateRefusal)
    case credentialsRefused
    case serverAnswered(url: String, base: TransportAddress, mapped: TransportAddress)
    /// A server gave nothing; `isFinal` says that it is not asked again, which a connection to it would be.
    case serverFailed(url: String, base: TransportAddress, reason: String, isFinal: Bool)
    /// What goes on between us and a TURN server.
    case relay(url: String, TURNTrace)
    case relayAllocated(url: String, relayed: [TransportAddress], lifetime: TimeDelta)
    case relayLost(url: String, relayed: [TransportAddress], because: String)
    /// The server gives a peer no permission.
    case relayRefused(url: String, peer: IPAddress, STUNErrorCode)
    case roleSwitched(to: ICERole, because: String)
    case restarted(local: ICECredentials)
    /// A restart was taken back: these credentials are in force again.
    case restartRolledBack(local: ICECredentials)
    case timer(ICETimer)
    case failed(ICEFailure)
}

extension ICETrace: CustomStringConvertible {
    public var description: String {
        switch self {
        case .checkSent(let path, let purpose, let use): "\(path): \(purpose) check sent\(use ? ", USE-CANDIDATE" : "")"
        case .checkSucceeded(let path, let time, let mapped):
            "\(path): check answered after \(time)" + (mapped.map { ", seen as \($0)" } ?? "")
        case .checkFailed(let path, let failure): "\(path): check failed, \(failure)"
        case .requestAnswered(let path, let use): "\(path): request answered\(use ? ", USE-CANDIDATE" : "")"
        case .requestRefused(let path, let error): "\(path): request refused, \(error.code) \(error.reason)"
        case .requestKept(let path, let ufrag): "\(path): request of ufrag \(ufrag) kept for later"
        case .indicationReceived(let path): "\(path): indication"
        case .dropped(let path, let reason): "\(path): dropped, \(reason)"
        case .pairAdded(let path, let local, let remote): "\(path): pair \(local.sdpName)-\(remote.sdpName)"
        case .pairRemoved(let path, let reason): "\(path): pair removed, \(reason)"
        case .pairStateChanged(let path, let from, let to): "\(path): \(from) → \(to)"
        case .nominating(let path): "\(path): being nominated"
        case .nominated(let path): "\(path): nominated"
        case .challenged(let incumbent, let path): "\(path): may replace \(incumbent)"
        case .challengeDeclined(let incumbent, let path): "\(path): does not replace \(incumbent), which answers"
        case .moved(let from, let path): "moved to \(path)" + (from.map { " from \($0)" } ?? "")
        case .seenAs(let path, let mapped): "\(path): behind a NAT or proxy, seen as \(mapped)"
        case .unreachable(let path, let reason): "\(path): unreachable, \(reason)"
        case .connecting(let path): "\(path): connecting"
        case .connected(let path, let local): "\(path): connected" + (local.map { " from \($0)" } ?? "")
        case .connectionEnded(let path, let reason): "\(path): connection ended, \(reason)"
        case .remoteCandidate(let candidate): "remote candidate \(candidate)"
        case .localMapped(let base, let announced, let rule):
            "\(base) announced as \(announced.map { "\($0)" } ?? "nothing yet"): \(rule)"
        case .remoteMapped(let signaled, let used, let rule): "for \(signaled) is sent to \(used): \(rule)"
        case .serverMapped(let url, let used, let rule): "\(url) is reached at \(used): \(rule)"
        case .asymmetricAnswer(let path, let from): "\(path): answered from \(from), as allowed"
        case .restartWanted(let silence): "nothing heard for \(silence): a restart is wanted"
        case .candidateIgnored(let candidate, let why): "candidate \(candidate) ignored: \(why.rawValue)"
        case .credentialsRefused: "remote credentials are not well formed"
        case .serverAnswered(let url, let base, let mapped): "\(url) sees \(base) as \(mapped)"
        case .serverFailed(let url, let base, let reason, _):
            base.ip.isUnspecified ? "\(url): \(reason)" : "\(url) from \(base): \(reason)"
        case .relay(let url, let entry): "\(url): \(entry)"
        case .relayAllocated(let url, let relayed, let lifetime):
            "\(url) relays for us at \(relayed.map(\.description).joined(separator: " and ")), for \(lifetime)"
        case .relayLost(let url, let relayed, let reason):
            "\(url): \(relayed.map(\.description).joined(separator: " and ")) is lost, \(reason)"
        case .relayRefused(let url, let peer, let error): "\(url) does not permit \(peer): \(error)"
        case .roleSwitched(let role, let why): "now \(role): \(why)"
        case .restarted(let credentials): "restarted, \(credentials)"
        case .restartRolledBack(let credentials): "restart taken back, \(credentials)"
        case .timer(let timer): "timer: \(timer)"
        case .failed(let failure): "failed: \(failure)"
        }
    }
}
