import DTLSSRTP
import ICE
import Primitives
import RTP

/// One entry of the typed trace: what happened, in which layer, when. The diagnosis is a pure fold over these.
public struct TraceEvent: Sendable {
    public var time: Instant
    public var detail: Detail

    public enum Detail: Sendable {
        case ice(ICETrace)
        case dtls(DTLSTransport.Trace)
        case rtp(RTPTrace, SSRC)
        case peer(PeerTrace)
    }

    public init(time: Instant, detail: Detail) {
        self.time = time
        self.detail = detail
    }
}

/// What the engine itself has to tell, beside its parts.
public enum PeerTrace: Hashable, Sendable {
    case localDescription(type: String)
    case remoteDescription(type: String)
    /// An offer that met our own, or an answer to none.
    case remoteDescriptionIgnored(type: String, reason: String)
    case remoteCandidateIgnored(candidate: String, reason: String)
    /// A name in a candidate was looked up; no addresses: it could not be.
    case remoteNameResolved(name: String, addresses: [String], reason: String)
    /// A key the other side pressed began (`isEnd` false) or ended. `digit` is empty for an event that is no key.
    case telephoneEvent(mid: String, event: UInt8, digit: String, length: TimeDelta, isEnd: Bool)
    /// Keys that are to be sent.
    case telephoneEventsQueued(mid: String, count: Int)
    case milestone(Milestone)
    case packetDropped(class: PacketClass, bytes: Int, path: NetworkPath, reason: DropReason)
    case earlyPacketKept(class: PacketClass, path: NetworkPath)
    case streamCreated(ssrc: SSRC, mid: String, routedBy: RoutingRule)
    case streamRefused(ssrc: SSRC, payloadType: UInt8, reason: String)
    case malformedRTCP(reason: String)
    case outboundFailed(what: String, reason: String)
    case unreachable(path: NetworkPath, reason: String)
    case frameRefused(mid: String, reason: DropReason)
    case closed(reason: String)
}

/// Why a packet or frame went no further.
public enum DropReason: String, Hashable, Sendable {
    case notDemultiplexable
    case noTransport
    case earlyBufferFull
    case authenticationFailed
    case replayed
    case malformed
    case unknownStream
    case tooManyStreams
    case notConnected
    case noConsent
    case directionInactive
    case codecNotAgreed
    case queueFull
    case turnChannelUnknown
}

/// How an SSRC found its m-section (RFC 8843 §9.2, in that order).
public enum RoutingRule: String, Hashable, Sendable {
    case mid
    case signaledSSRC
    case payloadType
    case retransmissionOfOnlyStream
}

/// The phases of a call's set-up, each noted once.
public enum Milestone: String, Hashable, Sendable, CaseIterable {
    case gatheringStarted
    case gatheringComplete
    case bothDescriptionsKnown
    case firstCheckSent
    case firstCheckReceived
    case iceConnected
    case pairSelected
    case dtlsStarted
    case dtlsConnected
    case firstRTPSent
    case firstRTPReceived
    case firstAudioFrameSent
    case firstVideoFrameSent
    case firstAudioFrameReceived
    case firstVideoFrameReceived
    case closed
}

/// When each phase was reached.
public struct Milestones: Hashable, Sendable {
    private var times: [Milestone: Instant] = [:]

    public init() {}

    public subscript(milestone: Milestone) -> Instant? { times[milestone] }

    /// Notes a phase; only the first time counts. Returns whether it was the first.
    mutating func note(_ milestone: Milestone, at now: Instant) -> Bool {
        guard times[milestone] == nil else { return false }
        times[milestone] = now
        return true
    }
}
