import ICE
import Peer
import Primitives
import SimulatedNetwork
import SimulatedTURN

/// What stands between phones outside and the peer inside, and how both behave. The addresses are those of Docs/boundary.md.
struct BoundaryOptions {
    /// A relay in user space ends ICMP errors; a packet filter passes them and forgets unanswered flows sooner.
    enum Kind: String, CaseIterable {
        case relay
        case nft
        /// No proxy at all: both sides on one network, for comparison.
        case none
    }

    var kind = Kind.relay
    var phones = 1
    var phoneOffers = true
    /// Whether phones behave as Chromium: nominate with every check, check every 2.66 s, mute 15 s after the last answer.
    var isChromium = true
    var isShared = false
    var rules = "local 192.0.2.133:30008-30208 = 203.0.113.40:30008-30208"
    /// The front's port less the inside's.
    var offset = 0
    var nat = NATKind.none
    var hasIPv6Outside = false
    /// Beside IPv6, where there is that.
    var hasIPv4Outside = false
    var egress = Refusal.report(.hostUnreachable)
    /// Between each phone and the network outside, each way. The round trip is twice its delay.
    var link = LinkConfiguration(delay: .milliseconds(25))
    var idle = TimeDelta.seconds(60)
    var refresh = Directions.both
    var maximumFlows = 1_024
    var whenFull = ProxyConfiguration.WhenFull.refuse
    /// ICE-TCP of each side, and whether there is UDP besides; what the proxy forwards.
    var phoneTCP: Set<CandidateTransport> = []
    var insideTCP: Set<CandidateTransport> = []
    var hasUDP = true
    var carries: Set<PathTransport> = [.udp, .tcp]
    var hasVideo = true
    var videoBitrate = 300_000
    /// Whether the inside offers an ICE restart where it is wanted.
    var offersRestarts = true
    var signalingDelay = TimeDelta.milliseconds(25)
    /// A TURN server inside, reached from outside by the front's 3478; its relay ports are passed on too where `passesRelayPorts`.
    var turn: TURNServer.Configuration?
    var passesRelayPorts = false
    var configureInside: (inout PeerConfiguration) -> Void = { _ in }
    var configurePhone: (inout PeerConfiguration) -> Void = { _ in }

    var hasTCP: Bool { !phoneTCP.isEmpty || !insideTCP.isEmpty }
    var pool: ClosedRange<UInt16> { 30_008...30_208 }

    var relayRules: [ProxyRule] {
        guard turn != nil else { return [] }
        return [ProxyRule(outside: 3_478...3_478, target: BoundaryBench.turn)]
            + (passesRelayPorts ? [ProxyRule(outside: 49_152...49_252, target: BoundaryBench.turn)] : [])
    }
}
