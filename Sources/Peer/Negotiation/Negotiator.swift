import Primitives
import SDP

/// The offer/answer machine (RFC 9429, RFC 3264): text in, text out, and an agreement the engine can work from.
///
/// It knows descriptions and nothing else: no sockets, no ICE, no DTLS. The engine hands it the local end of the one
/// transport when a description is created, and reads the remote end from `remoteTransport` and `session`.
///
///                     createOffer, setLocal(offer)                 setRemote(answer)
///      stable ───────────────────────────────► haveLocalOffer ───────────────────────► stable
///      stable ───────────────────────────────► haveRemoteOffer ──────────────────────► stable
///                     setRemote(offer)                  createAnswer, setLocal(answer)
///
/// Provisional answers add a state on either way; `rollback` leads from an offer back to what held before it.
///
/// What persists is the list of slots, one for each `m=` line ever negotiated, in order: slots are never removed, only
/// rejected (port 0), and a rejected slot may be taken by another section (RFC 9429 §5.2.2). A transceiver is what the
/// application wants; it gets a slot when a description with it is set. A remote offer finds its section a transceiver
/// of the same kind that has none, or makes a `recvonly` one.
///
/// There is one transport. The first section we accept fixes which, and its BUNDLE group comes with it; a section
/// elsewhere is accepted only when it names the same ICE credentials, and rejected otherwise. RTCP is multiplexed
/// or the section is rejected. Anything else we cannot do (data channels, unknown codecs, unknown profiles) is
/// rejected too, with port 0 and outside the group: a section we do not want never costs the call.
///
/// An agreement is computed from the two texts that were exchanged, never from what we meant to write. So what the
/// engine does is what the descriptions say.
///
/// Every call that can fail leaves the value as it was when it throws.
///
/// Departures from RFC 9429, on purpose: a local transceiver is matched to an offered section also when it was not
/// added by a track, if the directions leave something to do (§5.10); transport attributes are repeated in every
/// bundled section, as browsers do (§5.3.1 leaves them to the first); a new offer is made in the stable state only.
public struct Negotiator: Sendable {
    /// Caps on what descriptions can make us keep.
    public struct Limits: Hashable, Sendable {
        public var mediaSections: Int
        /// Kept of the peer's description; the rest is passed over.
        public var candidates: Int
        /// SSRCs kept for each section.
        public var sources: Int
        /// Kept for each section.
        public var headerExtensions: Int

        public init(mediaSections: Int = 64, candidates: Int = 128, sources: Int = 32, headerExtensions: Int = 32) {
            self.mediaSections = mediaSections
            self.candidates = candidates
            self.sources = sources
            self.headerExtensions = headerExtensions
        }
    }

    /// One `m=` line and who owns it.
    struct Slot: Hashable, Sendable {
        var media: String
        var mid: String
        var isMidSynthetic: Bool
        var transportProtocol: String
        var formats: [String]
        var transceiver: TransceiverDescription.ID?
        var isRejected: Bool
    }

    /// What an offer may change and a rollback restores.
    struct Agreement: Hashable, Sendable {
        var slots: [Slot] = []
        var numbers = NumberTables()
        /// Above every number that was ever a mid: a name is not used again, whoever's section it was.
        var nextMid = 0
        var session: NegotiatedSession?
    }

    /// Our verdict on a section of the remote offer.
    enum Verdict: Hashable, Sendable {
        case accept(TransceiverDescription.ID)
        case reject(SectionRejection)
    }

    public let capabilities: MediaCapabilities
    public let bundlePolicy: BundlePolicy
    public let limits: Limits
    public let cname: String
    /// The stream of `a=msid` that all our tracks belong to unless told otherwise: one stream is played in step.
    public let streamID: String

    public internal(set) var signalingState = SignalingState.stable
    public internal(set) var transceivers: [TransceiverDescription] = []
    public internal(set) var currentLocalDescription: SessionDescription?
    public internal(set) var currentRemoteDescription: SessionDescription?
    public internal(set) var pendingLocalDescription: SessionDescription?
    public internal(set) var pendingRemoteDescription: SessionDescription?

    var agreement = Agreement()
    /// The last stable state, while an offer is out.
    var stable: (agreement: Agreement, transceivers: [TransceiverDescription])?
    /// The description created last and whose sections its sections are.
    var created: (type: DescriptionType, description: SessionDescription, owners: [TransceiverDescription.ID?])?
    /// One for each section of the pending remote offer.
    var verdicts: [Verdict] = []
    /// The last description of ours that was set, rolled back or not: the peer may have seen it.
    var lastLocal: SessionDescription?
    private var nextTransceiver = 0
    private var random: RandomSource
    private let sessionID: String

    public init(
        capabilities: MediaCapabilities = .standard, bundlePolicy: BundlePolicy = .maxBundleWithPorts,
        cname: String? = nil, limits: Limits = Limits(), random: RandomSource
    ) {
        self.capabilities = capabilities
        self.bundlePolicy = bundlePolicy
        self.limits = limits
        var random = random
        // RFC 9429 §5.2.1: the highest bit is zero.
        sessionID = "\(random.next() >> 1)"
        let name = random.bytes(8).hexadecimal
        self.cname = cname ?? name
        streamID = random.identifier()
        self.random = random
    }

    /// What was agreed last; in a provisional state, what the provisional answer says.
    public var session: NegotiatedSession? { agreement.session }
    public var localDescription: SessionDescription? { pendingLocalDescription ?? currentLocalDescription }
    public var remoteDescription: SessionDescription? { pendingRemoteDescription ?? currentRemoteDescription }

    /// Whether an offer of ours would change something (W3C "negotiation needed"). Always `false` unless stable.
    public var needsNegotiation: Bool {
        signalingState == .stable && transceivers.contains { $0.needsNegotiation }
    }

    public subscript(id: TransceiverDescription.ID) -> TransceiverDescription? {
        transceivers.first { $0.id == id }
    }

    /// Adds something to send, to receive, or both. It takes part from the next offer or matching remote offer on.
    ///
    /// - Parameters:
    ///   - streamID: `nil` for the stream all tracks share.
    ///   - codecPreferences: the codecs to use, most wanted first; empty for all.
    @discardableResult
    public mutating func addTransceiver(
        _ kind: MediaKind, direction: MediaDirection = .sendReceive, streamID: String? = nil, trackID: String? = nil,
        codecPreferences: [Codec] = []
    ) throws(NegotiationError) -> TransceiverDescription.ID {
        try requireOpen()
        guard transceivers.count < limits.mediaSections else {
            throw NegotiationError(
                .limit, "there are already \(limits.mediaSections) transceivers",
                "stop one or raise Limits.mediaSections")
        }
        let known = capabilities.codecs(of: kind).map(\.codec)
        guard known.contains(where: \.carriesMedia) else {
            throw NegotiationError(
                .unsupported, "there is no codec for \(kind.rawValue)", "add one to the capabilities, or leave it out")
        }
        guard codecPreferences.isEmpty || codecPreferences.contains(where: { known.contains($0) && $0.carriesMedia })
        else {
            throw NegotiationError(
                .unsupported, "none of the preferred codecs is a codec of ours for \(kind.rawValue)",
                "prefer one of \(known.map(\.rawValue).joined(separator: ", ")), or none for all")
        }
        return makeTransceiver(
            kind, direction: direction, streamID: streamID, trackID: trackID, codecPreferences: codecPreferences,
            isFromRemoteOffer: false)
    }

    /// Changes what we want; it takes effect with the next exchange.
    public mutating func setDirection(
        _ direction: MediaDirection, of id: TransceiverDescription.ID
    ) throws(NegotiationError) {
        let index = try self.index(of: id)
        transceivers[index].direction = direction
    }

    /// Stops a transceiver. With a slot, the next exchange rejects its section; without one it is gone at once.
    public mutating func stop(_ id: TransceiverDescription.ID) throws(NegotiationError) {
        let index = try self.index(of: id)
        if transceivers[index].mediaIndex == nil, stable == nil {
            transceivers.remove(at: index)
        } else {
            transceivers[index].isStopped = true
        }
    }

    /// Ends it: everything but reading throws from now on.
    public mutating func close() { signalingState = .closed }

    mutating func makeTransceiver(
        _ kind: MediaKind, direction: MediaDirection, streamID: String? = nil, trackID: String? = nil,
        codecPreferences: [Codec] = [], isFromRemoteOffer: Bool
    ) -> TransceiverDescription.ID {
        let id = TransceiverDescription.ID(nextTransceiver)
        nextTransceiver &+= 1
        transceivers.append(
            TransceiverDescription(
                id: id, kind: kind, direction: direction, isFromRemoteOffer: isFromRemoteOffer,
                streamID: streamID ?? self.streamID, trackID: trackID ?? random.identifier(), ssrc: makeSSRC(),
                retransmissionSSRC: kind == .video ? makeSSRC() : nil, codecPreferences: codecPreferences))
        return id
    }

    private mutating func makeSSRC() -> SSRC {
        let taken = Set(transceivers.flatMap { [$0.ssrc, $0.retransmissionSSRC ?? $0.ssrc] })
        while true {
            let ssrc = SSRC(UInt32(truncatingIfNeeded: random.next()))
            if ssrc.rawValue != 0, !taken.contains(ssrc) { return ssrc }
        }
    }

    func index(of id: TransceiverDescription.ID) throws(NegotiationError) -> Int {
        try requireOpen()
        guard let index = transceivers.firstIndex(where: { $0.id == id && !$0.isStopped }) else {
            throw NegotiationError(
                .unknownTransceiver, "there is no transceiver \(id.rawValue), or it was stopped",
                "take the id from `transceivers`")
        }
        return index
    }

    func requireOpen() throws(NegotiationError) {
        guard signalingState != .closed else {
            throw NegotiationError(.wrongState, "the session is closed", "make a new one")
        }
    }

    /// An empty description of ours. `versioned` sets the number in `o=`.
    func emptyDescription() -> SessionDescription {
        SessionDescription(
            origin: Origin(
                sessionID: sessionID, sessionVersion: 0,
                address: ConnectionData(addressType: "IP4", address: "127.0.0.1")))
    }

    /// RFC 9429 §5.2.2: the version goes up by one when anything changed since the last description that was set.
    func versioned(_ description: SessionDescription) -> SessionDescription {
        var description = description
        guard let lastLocal else {
            description.origin.sessionVersion = 1
            return description
        }
        description.origin.sessionVersion = lastLocal.origin.sessionVersion
        if description != lastLocal { description.origin.sessionVersion = lastLocal.origin.sessionVersion &+ 1 }
        return description
    }
}

extension RandomSource {
    /// 128 random bits in the form of a UUID.
    mutating func identifier() -> String {
        let digits = bytes(16).hexadecimal
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(digit)
        }
        return text
    }
}
