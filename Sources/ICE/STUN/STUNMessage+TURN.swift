import Primitives

/// What TURN and its credentials look for in a message.
extension STUNMessage {
    public var realm: String? { first { if case .realm(let value) = $0 { value } else { nil } } }
    public var nonce: [UInt8]? { first { if case .nonce(let value) = $0 { value } else { nil } } }
    public var userHash: [UInt8]? { first { if case .userHash(let value) = $0 { value } else { nil } } }
    public var software: String? { first { if case .software(let value) = $0 { value } else { nil } } }
    public var passwordAlgorithm: STUNPasswordAlgorithm? {
        first { if case .passwordAlgorithm(let value) = $0 { value } else { nil } }
    }
    public var passwordAlgorithms: [STUNPasswordAlgorithm]? {
        first { if case .passwordAlgorithms(let value) = $0 { value } else { nil } }
    }
    public var alternateDomain: String? { first { if case .alternateDomain(let value) = $0 { value } else { nil } } }
    /// Seconds.
    public var lifetime: UInt32? { first { if case .lifetime(let value) = $0 { value } else { nil } } }
    public var channelNumber: UInt16? { first { if case .channelNumber(let value) = $0 { value } else { nil } } }
    public var requestedTransport: UInt8? {
        first { if case .requestedTransport(let value) = $0 { value } else { nil } }
    }
    public var requestedAddressFamily: IPAddress.Family? {
        first { if case .requestedAddressFamily(let value) = $0 { value } else { nil } }
    }
    public var additionalAddressFamily: IPAddress.Family? {
        first { if case .additionalAddressFamily(let value) = $0 { value } else { nil } }
    }
    public var addressError: (family: IPAddress.Family, error: STUNErrorCode)? {
        first { if case .addressErrorCode(let family, let error) = $0 { (family, error) } else { nil } }
    }
    public var peerAddress: TransportAddress? { peerAddresses.first }
    public var peerAddresses: [TransportAddress] {
        attributes.compactMap { if case .xorPeerAddress(let value) = $0 { value } else { nil } }
    }
    public var relayedAddresses: [TransportAddress] {
        attributes.compactMap { if case .xorRelayedAddress(let value) = $0 { value } else { nil } }
    }
    public var data: [UInt8]? { first { if case .data(let value) = $0 { value } else { nil } } }
    public var icmpError: STUNICMPError? { first { if case .icmp(let value) = $0 { value } else { nil } } }
}
