import Primitives

/// Data through the relay, both ways (RFC 8656 §11, §12).
extension TURNAllocation {
    /// The longest payload of UDP over IPv4.
    static let maximumData = 65_507

    /// Sends to a peer. One without permission is given one, in a request just before.
    @discardableResult
    public mutating func send(
        _ data: [UInt8], to peer: TransportAddress, at now: Instant, into out: inout Output
    ) -> TURNSendOutcome {
        guard let lease else { return .notAllocated }
        guard data.count <= Self.maximumData else { return .tooLong }
        if let channel = channels.first(where: { $0.peer == peer }), channel.isBound, let number = channel.number {
            let message = ChannelData.message(number, data, isPadded: configuration.isReliable)
            transmit(message, at: now, into: &out)
            return .sent
        }
        guard lease.relayed(peer.ip.family) != nil else { return .noAddressOfFamily }
        if !permissions.contains(where: { $0.ip == peer.ip }) {
            guard addPermission(peer.ip, at: now, into: &out) else { return .permissionLimit }
            renew(at: now, into: &out)
            updateDeadline()
        }
        let indication = STUNMessage(
            .indication, method: .send, transactionID: STUNTransactionID(using: &random),
            attributes: [.xorPeerAddress(peer), .data(data)])
        transmit(indication.encoded(fingerprint: false), at: now, into: &out)
        return .sent
    }

    /// Whether bytes from the server's address are for an allocation: ChannelData, or STUN. Whether a STUN message
    /// answers a request of an allocation or of someone else on the same socket, `expects` says.
    public static func isChannelData(_ bytes: [UInt8]) -> Bool { (0x40...0x4F).contains(bytes.first ?? 0) }

    /// Takes the data out of ChannelData in place, and says from whom it is and to which of our addresses; `nil`, and nothing
    /// done, where it is no data of a channel of ours.
    func unwrapChannelData(_ message: inout [UInt8]) -> NetworkPath? {
        guard let lease, message.count > ChannelData.headerSize else { return nil }
        let number = UInt16(message[0]) << 8 | UInt16(message[1])
        guard let channel = channels.first(where: { $0.number == number }),
            let relayed = lease.relayed(channel.peer.ip.family), ChannelData.unwrap(&message) != nil
        else { return nil }
        return NetworkPath(local: relayed, remote: channel.peer)
    }

    /// Whether this is an answer to one of our requests.
    public func expects(_ response: STUNTransactionID) -> Bool { transactions.contains { $0.id == response } }

    /// A message from the server: a datagram, or one cut from its connection.
    public mutating func receive(_ message: consuming [UInt8], at now: Instant, into out: inout Output) {
        var message = message
        if Self.isChannelData(message) { return receiveChannelData(&message, into: &out) }
        guard let parsed = try? STUNMessage(parsing: message) else { return drop(.malformed, into: &out) }
        guard parsed.fingerprint != .differs else { return drop(.badFingerprint, into: &out) }
        switch (parsed.messageClass, parsed.method) {
        case (.indication, .data): receiveIndication(parsed, into: &out)
        case (.success, _), (.error, _):
            receiveResponse(parsed, at: now, into: &out)
            // An answer makes room for what waited.
            renew(at: now, into: &out)
            updateDeadline()
        default: drop(.malformed, into: &out)
        }
    }

    private mutating func receiveChannelData(_ message: inout [UInt8], into out: inout Output) {
        guard let lease else { return drop(.notAllocated, into: &out) }
        guard let number = ChannelData.unwrap(&message) else { return drop(.malformed, into: &out) }
        // A channel whose confirmation is lost or still on its way is good enough to listen on.
        guard let channel = channels.first(where: { $0.number == number }),
            let relayed = lease.relayed(channel.peer.ip.family)
        else { return drop(.unknownPeer, into: &out) }
        out.arrivals.append(TURNArrival(bytes: message, peer: channel.peer, relayed: relayed))
    }

    private mutating func receiveIndication(_ indication: STUNMessage, into out: inout Output) {
        guard let lease else { return drop(.notAllocated, into: &out) }
        guard let peer = indication.peerAddress, indication.unknownRequiredTypes.isEmpty else {
            return drop(.malformed, into: &out)
        }
        guard permissions.contains(where: { $0.ip == peer.ip }), let relayed = lease.relayed(peer.ip.family) else {
            return drop(.unknownPeer, into: &out)
        }
        if let error = indication.icmpError {
            out.events.append(.peerUnreachable(peer, error))
        } else if let data = indication.data {
            out.arrivals.append(TURNArrival(bytes: data, peer: peer, relayed: relayed))
        } else {
            drop(.malformed, into: &out)
        }
    }

    func drop(_ reason: TURNDropReason, into out: inout Output) { out.trace.append(.dropped(reason)) }
}
