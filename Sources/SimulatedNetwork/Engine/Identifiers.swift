/// A host of a simulation.
public struct HostID: Hashable, Sendable {
    let index: Int
}

/// A network: a set of addresses that reach each other, such as the internet or what is behind a NAT.
public struct NetworkID: Hashable, Sendable {
    let index: Int
    /// The network every simulation begins with.
    public static let internet = NetworkID(index: 0)
}

/// The interface of a box and its access link, the only places where packets are delayed, queued or lost.
public struct LinkID: Hashable, Sendable {
    let index: Int
}

public struct NATID: Hashable, Sendable {
    let index: Int
    /// The network behind this NAT.
    public let inside: NetworkID
}

public struct ProxyID: Hashable, Sendable {
    let index: Int
}

public struct STUNServerID: Hashable, Sendable {
    let index: Int
}
