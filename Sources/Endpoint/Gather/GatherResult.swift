import ICE
import Primitives

/// What gathering found: the candidates in the order they came, and what each server did.
public struct GatherResult: Sendable {
    public var candidates: [GatheredCandidate] = []
    public var servers: [ServerVerdict] = []
    /// The candidate types that were asked for and did not come.
    public var missing: [String] = []
    public var status = ExitStatus.success

    public var json: JSONValue {
        [
            "schema": "postern-gather/1", "candidates": .array(candidates.map(\.json)),
            "servers": .array(servers.map(\.json)), "missing": .array(missing.map(JSONValue.string)),
            "exitCode": .integer(Int64(status.rawValue)),
        ]
    }
}

/// A candidate as a table shows it.
public struct GatheredCandidate: Hashable, Sendable {
    /// `host`, `srflx` or `relay`.
    public var type: String
    public var address: TransportAddress
    public var priority: UInt32
    public var foundation: String
    public var related: TransportAddress?
    /// The server it was learnt from.
    public var url: String?
    /// Since gathering began.
    public var after: TimeDelta

    var json: JSONValue {
        [
            "type": .string(type), "protocol": "udp", "address": .string("\(address.ip)"),
            "port": .integer(Int64(address.port)), "priority": .integer(Int64(priority)),
            "foundation": .string(foundation), "relatedAddress": JSONValue(related.map { "\($0.ip)" }),
            "relatedPort": JSONValue(related.map { Int($0.port) }), "url": JSONValue(url),
            "milliseconds": JSONValue(rounded: after.seconds * 1_000),
        ]
    }
}

/// Whether a server does what it is there for.
public struct ServerVerdict: Hashable, Sendable {
    public var url: String
    /// `stun` or `turn`.
    public var service: String
    public var works: Bool
    /// For people.
    public var text: String
    /// As `icecandidateerror` of W3C webrtc has them: 701 where nothing was heard, else the server's own.
    public var errorCode: Int?
    /// Until its candidate was there.
    public var milliseconds: Double?
    /// From a socket of ours through the relay and back.
    public var dataRoundTripMilliseconds: Double?

    var json: JSONValue {
        [
            "url": .string(url), "service": .string(service), "works": .bool(works), "verdict": .string(text),
            "errorCode": JSONValue(errorCode), "milliseconds": JSONValue(rounded: milliseconds),
            "dataRoundTripMilliseconds": JSONValue(rounded: dataRoundTripMilliseconds),
        ]
    }
}
