import DTLSSRTP
import ICE
import Peer
import Primitives
import SDP
import Testing

/// TCP candidates between descriptions and ICE (RFC 6544 §4.5).
@Suite struct TCPCandidateDescriptionTests {
    private func engine() throws -> PeerEngine {
        var configuration = PeerConfiguration(role: .controlling, certificate: try Certificate.generate())
        configuration.isDeterministic = true
        return PeerEngine(
            configuration: configuration, random: .seeded(1), wallClock: WallClock(instant: .zero, unixNanoseconds: 0))
    }

    @Test func oursAreWrittenWithTheirType() throws {
        var engine = try engine()
        var out = PeerEngine.Output()
        try engine.addTransceiver(.audio, direction: .sendReceive)
        let ip = IPAddress(v4: 0xC000_0201)
        engine.gather(
            bases: [
                LocalBase(address: TransportAddress(ip, 4_000)), .tcpActive(ip),
                LocalBase(address: TransportAddress(ip, 30_100), transport: .tcpPassive),
            ], at: .zero, into: &out)
        let offer = try engine.createOffer(at: .zero, into: &out)
        let candidates = offer.media.flatMap(\.candidates)
        #expect(candidates.map(\.transport) == [.udp, .tcp, .tcp])
        #expect(candidates.map(\.tcpType) == [nil, .active, .passive])
        #expect(candidates.map(\.port) == [4_000, 9, 30_100])
        #expect(candidates.map(\.priority) == candidates.map(\.priority).sorted(by: >))
        let text = offer.serialized
        #expect(text.contains(" tcp \(candidates[1].priority) 192.0.2.1 9 typ host tcptype active"))
    }

    @Test(arguments: [
        ("1 1 tcp 1518214911 198.51.100.1 9 typ host tcptype active", true),
        ("1 1 TCP 1518214911 198.51.100.1 5000 typ host tcptype passive", true),
        ("1 1 tcp 1518214911 198.51.100.1 0 typ host tcptype active", true),
        ("1 1 tcp 1518214911 198.51.100.1 5000 typ host tcptype so", false),
        ("1 1 tcp 1518214911 198.51.100.1 5000 typ host", false),
        ("1 1 tcp 1518214911 198.51.100.1 0 typ host tcptype passive", false),
    ])
    func theirsAreTakenByType(text: String, isTaken: Bool) throws {
        var engine = try engine()
        var out = PeerEngine.Output()
        engine.gather(
            bases: [LocalBase(address: TransportAddress(IPAddress(v4: 0xC000_0201), 30_100), transport: .tcpPassive)],
            at: .zero, into: &out)
        out.removeAll()
        engine.addRemoteCandidate(try CandidateAttribute(parsing: text), at: .zero, into: &out)
        let refusals = out.trace.filter { entry in
            switch entry.detail {
            case .ice(.candidateIgnored), .peer(.remoteCandidateIgnored): true
            default: false
            }
        }
        #expect(refusals.isEmpty == isTaken, "\(refusals)")
    }
}
