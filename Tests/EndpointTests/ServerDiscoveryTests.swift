import PeerIO
import Synchronization
import Testing

@testable import Endpoint

@Suite struct ServerDiscoveryTests {
    private typealias Server = ServerDiscovery.Server

    private func discovery(
        services: [String: [SRVRecord]] = [:], pointers: [String: [NAPTRRecord]] = [:]
    ) -> ServerDiscovery {
        ServerDiscovery(services: { services[$0] ?? [] }, pointers: { pointers[$0] ?? [] })
    }

    private func srv(_ target: String, _ port: UInt16 = 3478, priority: UInt16 = 0, weight: UInt16 = 0) -> SRVRecord {
        SRVRecord(priority: priority, weight: weight, port: port, target: target)
    }

    private func naptr(_ order: UInt16, _ flags: String, _ service: String, _ replacement: String) -> NAPTRRecord {
        NAPTRRecord(order: order, preference: 10, flags: flags, service: service, replacement: replacement)
    }

    /// The domain of RFC 5928 §4.1.
    @Test func severalProtocolsInTheOrderOfTheDomain() async throws {
        let discovery = discovery(
            services: [
                "_turn._udp.example.net": [srv("a.example.net")],
                "_turn._tcp.example.net": [srv("a.example.net", 5000)],
            ],
            pointers: [
                "example.net": [
                    naptr(200, "", "RELAY:turn.tcp:turn.tls", "stream.example.net"),
                    naptr(100, "", "RELAY:turn.udp", "datagram.example.net"),
                ],
                "datagram.example.net": [naptr(100, "s", "RELAY:turn.udp", "_turn._udp.example.net")],
                "stream.example.net": [
                    naptr(100, "s", "RELAY:turn.tcp", "_turn._tcp.example.net"),
                    naptr(200, "a", "RELAY:turn.tls", "a.example.net"),
                ],
            ])
        #expect(
            await discovery.servers(of: try ICEServerURL(parsing: "turn:example.net")) == [
                Server(transport: .udp, target: "a.example.net", port: 3478),
                Server(transport: .tcp, target: "a.example.net", port: 5000),
                Server(transport: .tls, target: "a.example.net", port: 5349),
            ])
        #expect(
            await discovery.servers(of: try ICEServerURL(parsing: "turn:example.net?transport=tcp")) == [
                Server(transport: .tcp, target: "a.example.net", port: 5000)
            ])
        // Over TLS only, and by NAPTR records, since there is no SRV record for it.
        #expect(
            await discovery.servers(of: try ICEServerURL(parsing: "turns:example.net")) == [
                Server(transport: .tls, target: "a.example.net", port: 5349)
            ])
    }

    @Test(arguments: [
        ("turn:example.net", ["_turn._udp", "_turn._tcp", "_turns._tcp"], true),
        ("turn:example.net?transport=udp", ["_turn._udp"], false),
        ("turn:example.net?transport=tcp", ["_turn._tcp"], false),
        ("turns:example.net", ["_turns._tcp"], true),
        ("turns:example.net?transport=tcp", ["_turns._tcp"], false),
        ("stun:example.net", ["_stun._udp"], false),
        ("stun:example.net?transport=tcp", ["_stun._tcp"], false),
        ("stuns:example.net", ["_stuns._tcp"], false),
    ])
    func whatIsAskedForDependsOnTheURI(_ text: String, _ labels: [String], _ asksForPointers: Bool) async throws {
        let asked = Mutex<[String]>([])
        let seen: @Sendable (String) -> Void = { name in asked.withLock { $0.append(name) } }
        let discovery = ServerDiscovery(
            services: {
                seen($0)
                return []
            },
            pointers: {
                seen("NAPTR \($0)")
                return []
            })
        #expect(await discovery.servers(of: try ICEServerURL(parsing: text)).isEmpty)
        let expected = labels.map { "\($0).example.net" } + (asksForPointers ? ["NAPTR example.net"] : [])
        #expect(Set(asked.withLock { $0 }) == Set(expected))
    }

    @Test func withoutPointersTransportsFollowInTheirOrder() async throws {
        let discovery = discovery(
            services: [
                "_turns._tcp.example.net": [srv("c.example.net", 443)],
                "_turn._tcp.example.net": [srv("b.example.net")],
                "_turn._udp.example.net": [srv("a.example.net", 3479)],
            ],
            pointers: ["example.net": [naptr(1, "u", "RELAY:turn.udp", "x"), naptr(1, "s", "SIP+D2U", "_sip._udp.x")]])
        #expect(
            await discovery.servers(of: try ICEServerURL(parsing: "turn:example.net")).map(\.description) == [
                "a.example.net:3479 over UDP", "b.example.net:3478 over TCP", "c.example.net:443 over TLS",
            ])
    }

    @Test func priorityGoesBeforeWeightAndWeightIsAShare() {
        var random = SystemRandomNumberGenerator()
        var first: [String: Int] = [:]
        for _ in 0..<2_000 {
            let ordered = ServerDiscovery.ordered(
                [
                    srv("backup", priority: 20, weight: 100), srv("big", priority: 10, weight: 75),
                    srv("small", priority: 10, weight: 25),
                ], using: &random)
            #expect(ordered.count == 3 && ordered[2].target == "backup")
            first[ordered[0].target, default: 0] += 1
        }
        // 1,500 of 2,000, with seven standard deviations to either side.
        #expect((1_360...1_640).contains(first["big"] ?? 0), "\(first)")
    }

    @Test func aServiceThatIsDeclaredAbsentIsNone() async throws {
        let discovery = discovery(services: ["_stun._udp.example.net": [srv(".", 0)]])
        #expect(await discovery.servers(of: try ICEServerURL(parsing: "stun:example.net")).isEmpty)
    }

    @Test func pointersInACircleEnd() async throws {
        let discovery = discovery(
            pointers: [
                "a.example.net": [naptr(1, "", "RELAY:turn.udp", "b.example.net")],
                "b.example.net": [
                    naptr(1, "", "RELAY:turn.udp", "a.example.net"), naptr(2, "", "RELAY:turn.udp", "b.example.net"),
                ],
            ])
        #expect(await discovery.servers(of: try ICEServerURL(parsing: "turn:a.example.net")).isEmpty)
    }
}
