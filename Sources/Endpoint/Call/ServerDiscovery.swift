import ICE
import PeerIO

/// The servers of a STUN or TURN URI that names a domain and no port, as the domain's records tell them (RFC 5928 §3;
/// RFC 8489 §8 for STUN). What it finds is empty where the domain says nothing; then its addresses and the default port hold.
struct ServerDiscovery: Sendable {
    enum Transport: String, Hashable, Sendable {
        case udp
        case tcp
        case tls

        var defaultPort: UInt16 { self == .tls ? 5349 : 3478 }
    }

    struct Server: Hashable, Sendable, CustomStringConvertible {
        var transport: Transport
        var target: String
        var port: UInt16

        var description: String { "\(target):\(port) over \(transport.rawValue.uppercased())" }
    }

    /// SRV records of a name, in no order.
    var services: @Sendable (String) async -> [SRVRecord]
    /// NAPTR records of a name, in no order.
    var pointers: @Sendable (String) async -> [NAPTRRecord]

    /// NAPTR records lead to others; so many names are looked up on the way at most.
    static let maximumSteps = 8

    /// In the order in which they are to be tried.
    func servers(of url: ICEServerURL) async -> [Server] {
        let transports = Self.transports(of: url)
        let service = url.uri.service
        return await withTaskGroup(of: (Int, [Server]).self) { group in
            // All at once: what they would save by waiting for each other is less than a round trip to the name server.
            for (index, transport) in transports.enumerated() {
                group.addTask {
                    let name = "\(Self.label(of: service, over: transport)).\(url.host)"
                    return (index + 1, await servers(at: name, over: transport))
                }
            }
            if service == .turn, !url.hasTransport {
                group.addTask {
                    var steps = Self.maximumSteps
                    return (0, await servers(pointedToBy: url.host, over: transports, steps: &steps))
                }
            }
            var found: [Int: [Server]] = [:]
            for await (index, servers) in group { found[index] = servers }
            // RFC 5928 §3, step 4: SRV records are for a domain without usable NAPTR records.
            if let pointed = found[0], !pointed.isEmpty { return pointed }
            return (1...transports.count).flatMap { found[$0] ?? [] }
        }
    }

    /// What may be found: what the URI says, all where it says nothing.
    private static func transports(of url: ICEServerURL) -> [Transport] {
        if url.uri.isSecure { return [.tls] }
        if url.hasTransport || url.uri.service == .stun { return [url.uri.transport == .tcp ? .tcp : .udp] }
        return [.udp, .tcp, .tls]
    }

    private static func label(of service: ICEServerURI.Service, over transport: Transport) -> String {
        "_\(service.rawValue)\(transport == .tls ? "s" : "")._\(transport == .udp ? "udp" : "tcp")"
    }

    private func servers(at name: String, over transport: Transport) async -> [Server] {
        var random = SystemRandomNumberGenerator()
        return Self.ordered(await services(name), using: &random).map {
            Server(transport: transport, target: $0.target, port: $0.port)
        }
    }

    /// RFC 2782: by priority; among those of one, each as often first as its weight says.
    static func ordered(_ records: [SRVRecord], using random: inout some RandomNumberGenerator) -> [SRVRecord] {
        var left = records.filter { !$0.target.isEmpty && $0.target != "." && $0.port != 0 }
        left.sort { ($0.priority, $0.weight) < ($1.priority, $1.weight) }
        var ordered: [SRVRecord] = []
        while let priority = left.first?.priority {
            let rivals = left.prefix { $0.priority == priority }
            var ticket = Int.random(in: 0...rivals.reduce(0) { $0 + Int($1.weight) }, using: &random)
            let chosen = rivals.firstIndex { record in
                ticket -= Int(record.weight)
                return ticket <= 0
            }
            ordered.append(left.remove(at: chosen ?? left.startIndex))
        }
        return ordered
    }

    /// S-NAPTR (RFC 3958 §2.2) with the tags of RFC 5928 §6: RELAY, turn.udp, turn.tcp, turn.tls.
    private func servers(
        pointedToBy name: String, over transports: [Transport], steps: inout Int
    ) async -> [Server] {
        var found: [Server] = []
        guard steps > 0 else { return found }
        steps -= 1
        let records = await pointers(name).sorted { ($0.order, $0.preference) < ($1.order, $1.preference) }
        for record in records {
            let tags = record.service.lowercased().split(separator: ":").map(String.init)
            guard tags.first == "relay", record.replacement != "." else { continue }
            let named = tags.dropFirst().compactMap { tag in transports.first { "turn.\($0.rawValue)" == tag } }
            guard !named.isEmpty else { continue }
            switch record.flags {
            case "s":
                guard steps > 0 else { continue }
                steps -= 1
                for transport in named { found += await servers(at: record.replacement, over: transport) }
            case "a":
                found += named.map {
                    Server(transport: $0, target: record.replacement, port: $0.defaultPort)
                }
            case "": found += await servers(pointedToBy: record.replacement, over: named, steps: &steps)
            default: continue
            }
        }
        return found
    }
}

extension ServerDiscovery {
    /// With the system's name servers. A lookup that fails tells nothing.
    init(_ resolver: ServiceResolver) {
        services = { (try? await resolver.services($0)) ?? [] }
        pointers = { (try? await resolver.pointers($0)) ?? [] }
    }
}
