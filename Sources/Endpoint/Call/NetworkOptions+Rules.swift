import Foundation
import ICE
import Primitives

/// What is wrong with an option about the network, with its flag.
public struct NetworkOptionError: Error, Hashable, CustomStringConvertible {
    public var description: String
}

/// A network in CIDR form.
public struct NetworkPrefix: Hashable, Sendable {
    public var ip: IPAddress
    public var prefix: Int

    func contains(_ other: IPAddress) -> Bool { other.isInside(ip, prefix: prefix) }
}

extension NetworkOptions {
    /// A rule of the address mapping, as `--map` has it.
    public mutating func addMappingRule(_ text: String) throws(NetworkOptionError) {
        do throws(MappingError) {
            try mapping.add(MappingRule(parsing: text))
        } catch {
            throw NetworkOptionError(description: "--map \(error)")
        }
    }

    /// The rules of a file, one a line, before those of the command line.
    public mutating func addMappingRules(inFile path: String) throws(NetworkOptionError) {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw NetworkOptionError(description: "--map-file \(path): it cannot be read as text")
        }
        do throws(MappingError) {
            let read = try AddressMapping(parsing: text)
            for rule in read.rules { try mapping.add(rule) }
        } catch {
            throw NetworkOptionError(description: "--map-file \(path): \(error)")
        }
    }

    /// An address that peers come from as a TURN server sees them, and that no candidate of theirs names: a proxy's.
    public mutating func addRelayPeer(_ text: String) throws(NetworkOptionError) {
        guard let ip = IPAddress(text), !ip.isUnspecified, !ip.isMulticast else {
            throw NetworkOptionError(description: "--peer-seen-as \(text): write an IP address, such as 192.0.2.131")
        }
        guard relayPeers.count < 16 else {
            throw NetworkOptionError(description: "--peer-seen-as \(text): 16 addresses are the most")
        }
        relayPeers.append(ip)
    }

    /// Certificates to believe of TURN servers over TLS.
    public mutating func setRelayTrust(authorities: String?, isInsecure: Bool) throws(NetworkOptionError) {
        if let authorities, !FileManager.default.isReadableFile(atPath: authorities) {
            throw NetworkOptionError(description: "--turn-ca \(authorities): it cannot be read")
        }
        relayTrust.authorities = authorities
        relayTrust.isInsecure = isInsecure
    }

    /// Whether calls share a socket and have TURN servers over UDP: then each has another socket for those.
    var needsRelaySockets: Bool {
        udpPort != nil && icePolicy != .hostOnly
            && iceServers.contains { $0.uri.service == .turn && $0.uri.transport == .udp }
    }

    /// Families of relayed addresses: `ipv4`, `ipv6`, `both`.
    public mutating func setRelayFamilies(_ text: String) throws(NetworkOptionError) {
        switch text.lowercased() {
        case "ipv4": relayFamilies = .ipv4
        case "ipv6": relayFamilies = .ipv6
        case "both": relayFamilies = .both
        default: throw NetworkOptionError(description: "--relay-family \(text): write ipv4, ipv6 or both")
        }
    }

    /// Which addresses to gather on.
    public mutating func setFilters(
        family: String?, subnets: [String], policy: String
    ) throws(NetworkOptionError) {
        if let family {
            guard let one = IPAddress.Family(rawValue: family.lowercased()) else {
                throw NetworkOptionError(description: "--address-family \(family): write ipv4 or ipv6")
            }
            families = [one]
        }
        for text in subnets {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), let ip = IPAddress(parts[0]),
                let prefix = parts.count == 1 ? (ip.family == .ipv4 ? 32 : 128) : Int(parts[1]),
                (0...(ip.family == .ipv4 ? 32 : 128)).contains(prefix)
            else {
                throw NetworkOptionError(description: "--subnet \(text): write ADDRESS/BITS, such as 192.0.2.0/24")
            }
            networks.append(NetworkPrefix(ip: ip, prefix: prefix))
        }
        switch policy {
        case "default-route": isDefaultRouteOnly = true
        case "default-route-public": (isDefaultRouteOnly, hidesPrivateAddresses) = (true, true)
        default:
            guard let one = ICETransportPolicy(rawValue: policy) else {
                throw NetworkOptionError(
                    description:
                        "--ice-policy \(policy): write all, relay, host-only, default-route or default-route-public")
            }
            icePolicy = one
        }
        let relays = iceServers.contains { $0.uri.service == .turn }
        if icePolicy == .relay, !relays {
            throw NetworkOptionError(description: "--ice-policy relay needs a relay: add --ice-server turn:HOST:PORT")
        }
        if relays, isICELite {
            throw NetworkOptionError(
                description: "--ice-lite and a turn: server: a lite agent has host candidates only (RFC 8445 §2.5) and "
                    + "never sends the checks that open a relay's permissions; leave one of the two out")
        }
    }
}
