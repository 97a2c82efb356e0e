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
    case remoteCandidate(Candidate)
    case candidateIgnored(Candidate, ICECandidateRefusal)
    case credentialsRefused
    case serverAnswered(url: String, base: TransportAddress, mapped: TransportAddress)
    case serverFailed(url: String, base: TransportAddress, reason: String)
    case roleSwitched(to: ICERole, because: String)
    case restarted(local: ICECredentials)
    case timer(ICETimer)
    case failed(ICEFailure)
}

/// Why a check was sent.
public enum CheckPurpose: String, Hashable, Sendable {
    /// The first of its pair, paced (RFC 8445 §6.1.4.2).
    case ordinary
    /// In reply to a check, at once (RFC 8445 §7.3.1.4).
    case triggered
    /// The one before it is still unanswered. A fresh transaction all the same.
    case repeated
    case nomination
    case consent
    /// Consent or the incumbent of a challenge is in doubt.
    case doubt
    /// A pair that failed is tried again.
    case recheck
}

public enum ICEDropReason: Hashable, Sendable {
    case malformed(STUNParseError)
    case wrongFingerprint
    case unknownMethod(UInt16)
    case missingCredentials
    case unknownUfrag(String)
    case wrongIntegrity
    case unmatchedResponse
    /// Too many early checks.
    case earlyChecksFull
}

public enum ICECandidateRefusal: String, Hashable, Sendable {
    case otherGeneration = "its ufrag is of another generation"
    case duplicate = "already known"
    case unusableAddress = "no address to send to"
    case component = "component other than 1"
    case transport = "no such transport here"
    case tooMany = "too many candidates"
    case family = "family not gathered"
    case afterEnd = "after end-of-candidates"
}

/// What can wake an agent.
public enum ICETimer: String, Hashable, Sendable, CaseIterable {
    /// A STUN server is asked again, given up, or its mapping kept open.
    case gathering
    /// Ta has passed: the next waiting pair's first check.
    case pace
    /// A pair's own time: repetition, recheck, consent.
    case check
    /// Consent is 30 s old.
    case consentExpiry
    /// A request is unanswered for too long: `disconnected`.
    case disconnect
    /// The patience of RFC 8863 is over.
    case patience
    /// The incumbent of a challenge has not answered in its time.
    case challenge
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
        case .remoteCandidate(let candidate): "remote candidate \(candidate)"
        case .candidateIgnored(let candidate, let why): "candidate \(candidate) ignored: \(why.rawValue)"
        case .credentialsRefused: "remote credentials are not well formed"
        case .serverAnswered(let url, let base, let mapped): "\(url) sees \(base) as \(mapped)"
        case .serverFailed(let url, let base, let reason): "\(url) from \(base): \(reason)"
        case .roleSwitched(let role, let why): "now \(role): \(why)"
        case .restarted(let credentials): "restarted, \(credentials)"
        case .timer(let timer): "timer: \(timer)"
        case .failed(let failure): "failed: \(failure)"
        }
    }
}

extension ICEDropReason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let error): "malformed (\(error))"
        case .wrongFingerprint: "wrong FINGERPRINT"
        case .unknownMethod(let method): "unknown method \(method)"
        case .missingCredentials: "USERNAME or MESSAGE-INTEGRITY missing"
        case .unknownUfrag(let ufrag): "unknown ufrag \(ufrag)"
        case .wrongIntegrity: "wrong MESSAGE-INTEGRITY"
        case .unmatchedResponse: "response to no request"
        case .earlyChecksFull: "too many early checks"
        }
    }
}
