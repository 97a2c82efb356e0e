/// A snapshot in the terms of W3C webrtc-stats: objects with an id, a type and members of the standard's names and units,
/// so that dashboards made for browsers read it as it is.
public struct StatisticsReport: Hashable, Sendable {
    public var objects: [StatisticsObject] = []

    public init() {}

    public func objects(of type: StatisticsType) -> [StatisticsObject] { objects.filter { $0.type == type } }
}

/// RTCStatsType values that Postern has something to say about.
public enum StatisticsType: String, Hashable, Sendable, CaseIterable {
    case codec
    case inboundRTP = "inbound-rtp"
    case outboundRTP = "outbound-rtp"
    case remoteInboundRTP = "remote-inbound-rtp"
    case remoteOutboundRTP = "remote-outbound-rtp"
    case peerConnection = "peer-connection"
    case transport
    case candidatePair = "candidate-pair"
    case localCandidate = "local-candidate"
    case remoteCandidate = "remote-candidate"
    case certificate
}

public struct StatisticsObject: Hashable, Sendable {
    public var id: String
    public var type: StatisticsType
    /// Milliseconds since the Unix epoch, as the standard has it.
    public var timestamp: Double
    public var members: [Member]

    public struct Member: Hashable, Sendable {
        public var name: String
        public var value: StatisticsValue
    }

    init(_ type: StatisticsType, id: String, timestamp: Double) {
        self.id = id
        self.type = type
        self.timestamp = timestamp
        members = []
    }

    public subscript(name: String) -> StatisticsValue? { members.first { $0.name == name }?.value }

    mutating func set(_ name: String, _ value: Int?) {
        if let value { members.append(Member(name: name, value: .integer(Int64(value)))) }
    }
    mutating func set(_ name: String, _ value: Double?) {
        if let value, value.isFinite { members.append(Member(name: name, value: .number(value))) }
    }
    mutating func set(_ name: String, _ value: String?) {
        if let value { members.append(Member(name: name, value: .string(value))) }
    }
    mutating func set(_ name: String, _ value: Bool?) {
        if let value { members.append(Member(name: name, value: .bool(value))) }
    }
}

public enum StatisticsValue: Hashable, Sendable {
    case integer(Int64)
    case number(Double)
    case string(String)
    case bool(Bool)

    public var asDouble: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}
