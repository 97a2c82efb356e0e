import Congestion
import DTLSSRTP
import ICE
import Primitives
import RTP
import SDP

/// The engine of one peer connection: ICE, DTLS-SRTP, RTP, congestion control and the offer/answer machine, wired.
///
/// It is a value that is told the time and never asks (invariant 1). A driver owns it, real (`PeerIO`) or simulated, and
/// uses four verbs: `receive` for what came from the network, `advance(to:)` when a deadline has come, the signalling
/// verbs of `PeerEngine+Signaling.swift`, and `send` for frames. Each appends what is to be done to the outbox: datagrams
/// with their path, events for the application, trace for the diagnosis.
///
///     datagram → class by first byte (RFC 7983)
///       STUN → ICEAgent ──── sendingPathChanged ──► DTLS starts on the first validated pair
///       DTLS → DTLSTransport ── connected(keys) ──► SRTPSession, early packets replayed
///       RTP  → SRTP unprotect in place → header → stream by SSRC, MID, payload type → jitter buffer → frame event
///       RTCP → unprotect → reports, NACK, PLI, transport feedback
///     frame → SendStream (payload format) → pacer → transport-wide number stamped → SRTP protect → datagram
///
/// What each part asks of another goes through here, so that no part knows the others: a NACK from a jitter buffer
/// becomes RTCP, a report becomes a round-trip time for DTLS and the encoder, lost consent stops all sending.
///
/// Failures reach as far as they must and no further: a bad packet is dropped and traced, a bad stream is refused, only
/// ICE without a pair after its patience and DTLS that cannot be trusted fail the connection. Even then ICE goes on
/// answering, since the other side may yet come (RFC 8863).
public struct PeerEngine {
    public typealias Output = Outbox<PeerEvent, TraceEvent>

    public let configuration: PeerConfiguration
    var random: RandomSource
    let wallClock: WallClock

    var negotiator: Negotiator
    var perfectNegotiation = PerfectNegotiation()
    /// New ICE credentials of ours in a description that was created and not set.
    var promisedCredentials: ICECredentials?
    /// Those in force when a restart was asked for; any others fulfil it.
    var credentialsToReplace: ICECredentials?
    var deferredRestart: DeferredRestart?
    var isNegotiationNeededTold = false
    var ice: ICEAgent
    var iceOutput = ICEAgent.Output()
    var dtls: DTLSTransport?
    var dtlsOutput = DTLSTransport.Output()
    /// What DTLS agreed on; exists only after the other side's certificate matched its fingerprint.
    var association: DTLSTransport.Association?
    var srtp: SRTPSession?

    /// The agreed session; `nil` before the first answer.
    var session: NegotiatedSession?
    /// Header extensions that may arrive; bundled sections share their numbers (RFC 8843 §9).
    var extensions = HeaderExtensionMap()
    /// Whom feedback is from: one of our sending streams, or an SSRC of our own where we only receive.
    var feedbackSSRC: SSRC
    var senders = StreamTable<String, SenderState>()
    var receivers = StreamTable<SSRC, ReceiverState>()
    /// When the next packet of a key is due. Kept, since every deadline asks for it and hardly any call has keys.
    var nextTelephoneEvent: Instant?
    var routes = RoutingTable()
    var timelines = TrackTimelines()
    var reports: ReportScheduler
    /// Feedback that waits for its turn.
    var waitingFeedback: [RTCPPacket] = []
    var receiverClock = ReceiverClock()
    /// Sender reports that came before the first packet of their stream.
    var orphanReports: [SSRC: SenderReport] = [:]
    var transportFeedback = TransportFeedbackBuilder(interval: .milliseconds(50))
    var pacer: Pacer<PacedPacket>
    var bandwidth: BandwidthEstimator
    var lastTargetBitrate: Int?

    var earlyDatagrams: BoundedQueue<Datagram>
    var connectionState: ConnectionState = .new
    var gatheredCandidates: [CandidateAttribute] = []
    var remoteNames = RemoteNames()
    var counters = TransportCounters()
    /// What connections had no room for.
    var discards: [NetworkPath: Discards] = [:]
    public internal(set) var milestones = Milestones()
    var isClosed = false

    // Kept between calls so that steady traffic does not allocate them anew.
    var receiveOutput = Outbox<ReceiveEvent, RTPTrace>()
    var packetScratch: [OutboundPacket] = []
    var pacedScratch: [PacedPacket] = []

    public init(configuration: PeerConfiguration, random: RandomSource, wallClock: WallClock) {
        var random = random
        self.configuration = configuration
        self.wallClock = wallClock
        let cname = random.bytes(12).hexadecimal  // RFC 7022 §4.2: at least 96 random bits
        negotiator = Negotiator(capabilities: configuration.capabilities, cname: cname, random: random.split())
        ice = ICEAgent(configuration: configuration.ice, random: random.split())
        reports = ReportScheduler(random: random.split())
        feedbackSSRC = SSRC(UInt32(truncatingIfNeeded: random.next()) | 1)
        var pacing = Pacer<PacedPacket>.Configuration()
        pacing.maximumPackets = configuration.limits.pacerPackets
        pacing.hasPadding = true
        pacer = Pacer(configuration: pacing)
        bandwidth = BandwidthEstimator(
            minimum: configuration.bitrates.minimum, start: configuration.bitrates.start,
            maximum: configuration.bitrates.maximum)
        earlyDatagrams = BoundedQueue(capacity: configuration.limits.earlyDatagrams)
        self.random = random
    }

    // MARK: Time

    /// Does what is due by `now`. Afterwards the deadline is `nil` or later than `now`.
    public mutating func advance(to now: Instant, into out: inout Output) {
        if let due = ice.deadline, due <= now {
            ice.advance(to: now, into: &iceOutput)
            drainICE(at: now, into: &out)
        }
        if let due = dtls?.deadline, due <= now {
            dtls?.advance(to: now, into: &dtlsOutput)
            drainDTLS(at: now, into: &out)
        }
        guard srtp != nil, !isClosed else { return }
        if let due = nextTelephoneEvent, due <= now { sendTelephoneEvents(at: now, into: &out) }
        for position in receivers.indices {
            guard let due = receivers[at: position].stream.deadline, due <= now else { continue }
            receivers[at: position].stream.advance(to: now, into: &receiveOutput)
            drainReceiveStream(at: position, now: now, into: &out)
        }
        if let due = transportFeedback.deadline, due <= now { queueTransportFeedback(at: now) }
        flushFeedback(at: now, into: &out)
        if let due = bandwidth.deadline, due <= now { bandwidth.advance(to: now) }
        publishTargetBitrate(into: &out)
        releasePaced(at: now, into: &out)
    }

    // MARK: Network

    /// A datagram from one of our sockets.
    public mutating func receive(_ datagram: consuming Datagram, at now: Instant, into out: inout Output) {
        guard !isClosed else { return receiveReleasing(datagram, at: now, into: &out) }
        // The only reference to the bytes, so that they are decrypted where they lie.
        var datagram = datagram
        counters.packetsReceived += 1
        counters.bytesReceived += datagram.bytes.count
        dispatch(&datagram, at: now, into: &out)
    }

    mutating func dispatch(_ datagram: inout Datagram, at now: Instant, into out: inout Output) {
        switch PacketClass(datagram.bytes) {
        case .stun:
            ice.receive(datagram, at: now, into: &iceOutput)
            drainICE(at: now, into: &out)
        case .dtls:
            receiveDTLS(datagram, at: now, into: &out)
        case .rtp:
            receiveRTP(&datagram, at: now, into: &out)
        case .rtcp:
            receiveRTCP(&datagram, at: now, into: &out)
        case .turnChannel:
            // What came out of a channel is nothing that is in a channel: this goes one level deep.
            if ice.unwrapRelayed(&datagram), PacketClass(datagram.bytes) != .turnChannel {
                return dispatch(&datagram, at: now, into: &out)
            }
            guard ice.isRelay(datagram.path) else {
                return drop(datagram, .turnChannel, .turnChannelUnknown, at: now, into: &out)
            }
            ice.receive(datagram, at: now, into: &iceOutput)
            drainICE(at: now, into: &out)
        case .zrtp, .unknown:
            drop(datagram, PacketClass(datagram.bytes), .notDemultiplexable, at: now, into: &out)
        }
    }

    /// An ICMP error or a failed send on a path: information for ICE and the trace, never an end.
    public mutating func noteUnreachable(
        _ path: NetworkPath, reason: String, at now: Instant, into out: inout Output
    ) {
        trace(.peer(.unreachable(path: path, reason: reason)), at: now, into: &out)
        ice.noteUnreachable(path, reason: reason, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    /// Says goodbye (RTCP BYE, DTLS close_notify) and stops. Nothing is sent afterwards.
    public mutating func close(at now: Instant, into out: inout Output) {
        guard !isClosed else { return }
        sendBye(at: now, into: &out)
        if dtls != nil {
            dtls?.close(at: now, into: &dtlsOutput)
            drainDTLS(at: now, into: &out)
        }
        ice.close(at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
        isClosed = true
        note(.closed, at: now, into: &out)
        setConnectionState(.closed, into: &out)
        trace(.peer(.closed(reason: "by the application")), at: now, into: &out)
    }

    // MARK: Small things used by every part

    /// The longest of the round trips measured last, by ICE's checks every five seconds and by reports every one. A queue
    /// that fills shows in the one or the other first, and whoever asks again for lost packets before the first answer can
    /// be there only fills it further.
    var roundTripTime: TimeDelta? {
        var longest = ice.currentRoundTripTime
        func take(_ other: TimeDelta?) {
            if let other { longest = longest.map { max($0, other) } ?? other }
        }
        take(receiverClock.roundTripTime)
        for mid in senders.keys { take(senders[mid]?.stream.remote.roundTripTime) }
        return longest
    }

    func trace(_ detail: TraceEvent.Detail, at now: Instant, into out: inout Output) {
        out.trace.append(TraceEvent(time: now, detail: detail))
    }

    mutating func note(_ milestone: Milestone, at now: Instant, into out: inout Output) {
        if milestones.note(milestone, at: now) { trace(.peer(.milestone(milestone)), at: now, into: &out) }
    }

    mutating func drop(
        _ datagram: Datagram, _ packetClass: PacketClass, _ reason: DropReason, at now: Instant,
        into out: inout Output
    ) {
        counters.packetsDropped += 1
        trace(
            .peer(
                .packetDropped(
                    class: packetClass, bytes: datagram.bytes.count, path: datagram.path, reason: reason)),
            at: now, into: &out)
    }

    mutating func setConnectionState(_ state: ConnectionState, into out: inout Output) {
        guard state != connectionState else { return }
        connectionState = state
        out.events.append(.connectionStateChanged(state))
    }

    /// Puts a datagram on the current sending path; without one it goes nowhere, as consent demands (RFC 7675 §5.1).
    mutating func transmit(_ bytes: [UInt8], at now: Instant, into out: inout Output) -> Bool {
        guard let path = ice.sendingPath else { return false }
        counters.packetsSent += 1
        counters.bytesSent += bytes.count
        let datagram = Datagram(bytes: bytes, path: path)
        if !ice.relay(datagram, at: now, into: &out.datagrams) { out.datagrams.append(datagram) }
        return true
    }
}

/// Totals over the transport (W3C RTCTransportStats).
struct TransportCounters: Hashable, Sendable {
    var packetsSent = 0
    var bytesSent = 0
    var packetsReceived = 0
    var bytesReceived = 0
    var packetsDropped = 0
}
