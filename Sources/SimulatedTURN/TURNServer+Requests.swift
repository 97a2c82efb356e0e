import ICE
import Primitives

/// Requests of clients: credentials first (RFC 8489 §9.2.4), then what they ask for (RFC 8656 §7 … §12).
extension TURNServer {
    enum Key {
        case sha1(MessageIntegrityKey)
        case sha256(MessageIntegritySHA256Key)
    }
    struct Refusal: Error {
        var error: STUNErrorCode
        var attributes: [STUNAttribute] = []
    }

    mutating func answer(
        _ request: STUNMessage, from client: NetworkPath, at now: Instant, into out: inout [Datagram]
    ) {
        counters.requests[request.method.rawValue, default: 0] += 1
        var response = STUNMessage(.success, method: request.method, transactionID: request.transactionID)
        var key: Key?
        do throws(Refusal) {
            if request.method == .binding {
                response.attributes = [.xorMappedAddress(client.remote)]
            } else {
                if let alternate = configuration.alternate, alternate != client.local {
                    throw Refusal(error: .tryAlternate, attributes: [.alternateServer(alternate)])
                }
                let user = try authenticate(request, from: client, at: now)
                key = user.key
                if let error = forcedErrors[request.method] { throw Refusal(error: error) }
                response.attributes = try serve(request, from: client, user: user.name, at: now)
            }
        } catch {
            counters.errors[error.error.code, default: 0] += 1
            response.messageClass = .error
            response.attributes = [.errorCode(error.error)] + error.attributes
            if !configuration.signsErrors { key = nil }
        }
        let bytes =
            switch key {
            case .sha1(let key): response.encoded(integrity: key)
            case .sha256(let key): response.encoded(integrity: key)
            case nil: response.encoded()
            }
        out.append(Datagram(bytes: bytes, path: client))
    }

    // MARK: Credentials

    private mutating func authenticate(
        _ request: STUNMessage, from client: NetworkPath, at now: Instant
    ) throws(Refusal) -> (name: String, key: Key) {
        guard request.hasIntegrity || request.hasSHA256Integrity else {
            throw Refusal(error: .unauthenticated, attributes: challenge(client, at: now))
        }
        guard let realm = request.realm, let nonce = request.nonce, request.username != nil || request.userHash != nil
        else { throw Refusal(error: .badRequest) }
        let algorithm: STUNPasswordAlgorithm
        switch (request.passwordAlgorithms, request.passwordAlgorithm) {
        case (nil, nil): algorithm = .md5
        case (let list?, let one?) where list == configuration.passwordAlgorithms && list.contains(one):
            algorithm = one
        default: throw Refusal(error: .badRequest)
        }
        guard realm == configuration.realm, let credential = credential(of: request, at: now) else {
            throw Refusal(error: .unauthenticated, attributes: challenge(client, at: now))
        }
        let bytes = credential.key(realm: realm, algorithm)
        let key: Key =
            request.hasSHA256Integrity
            ? .sha256(MessageIntegritySHA256Key(bytes: bytes)) : .sha1(MessageIntegrityKey(bytes: bytes))
        let isIntact =
            switch key {
            case .sha1(let key): request.isIntact(under: key)
            case .sha256(let key): request.isIntact(under: key)
            }
        guard isIntact else { throw Refusal(error: .unauthenticated, attributes: challenge(client, at: now)) }
        guard let known = nonces[client], known.bytes == nonce,
            configuration.nonceLifetime.map({ known.issued + $0 > now }) ?? true
        else { throw Refusal(error: .staleNonce, attributes: challenge(client, at: now)) }
        return (credential.username, key)
    }

    private func credential(of request: STUNMessage, at now: Instant) -> TURNCredential? {
        if let name = request.username {
            if let secret = configuration.sharedSecret {
                let parts = name.split(separator: ":", maxSplits: 1)
                guard let text = parts.first, let expires = Int64(text),
                    expires > configuration.wallClock + now.nanoseconds / 1_000_000_000
                else { return nil }
                return .timeLimited(secret: secret, name: parts.count > 1 ? String(parts[1]) : "", expires: expires)
            }
            return configuration.users[name].map { TURNCredential(username: name, password: $0) }
        }
        return configuration.users.map { TURNCredential(username: $0.key, password: $0.value) }
            .first { $0.userHash(realm: configuration.realm) == request.userHash }
    }

    /// REALM, NONCE and what else goes with a 401 or 438. A nonce that is still good is given again.
    private mutating func challenge(_ client: NetworkPath, at now: Instant) -> [STUNAttribute] {
        if let nonce = nonces[client], configuration.nonceLifetime.map({ nonce.issued + $0 > now }) ?? true {
        } else {
            let features = (configuration.passwordAlgorithms.isEmpty ? 0 : 1) + (configuration.hidesUsers ? 2 : 0)
            let cookie = features == 0 ? "" : "obMatJos2AAA" + ["A", "B", "C", "D"][features]
            nonces[client] = Nonce(
                bytes: Array((cookie + random.bytes(8).hexadecimal).utf8), issued: now)
        }
        var attributes: [STUNAttribute] = [.realm(configuration.realm), .nonce(nonces[client]?.bytes ?? [])]
        if !configuration.passwordAlgorithms.isEmpty {
            attributes.append(.passwordAlgorithms(configuration.passwordAlgorithms))
        }
        return attributes
    }

    // MARK: Methods

    private mutating func serve(
        _ request: STUNMessage, from client: NetworkPath, user: String, at now: Instant
    ) throws(Refusal) -> [STUNAttribute] {
        if request.method == .allocate { return try allocate(request, from: client, user: user, at: now) }
        guard var allocation = allocations[client] else { throw Refusal(error: .allocationMismatch) }
        guard allocation.username == user else { throw Refusal(error: .wrongCredentials) }
        switch request.method {
        case .refresh:
            let lifetime = lifetime(of: request)
            if lifetime == .zero {
                counters.released += 1
                free(client)
                return [.lifetime(0)]
            }
            allocation.expires = now + lifetime
            allocations[client] = allocation
            return [.lifetime(UInt32(clamping: lifetime.milliseconds / 1_000))]
        case .createPermission:
            guard !request.peerAddresses.isEmpty else { throw Refusal(error: .badRequest) }
            for peer in request.peerAddresses {
                try check(peer, allocation)
                allocation.permissions[peer.ip] = now + configuration.permissionLifetime
            }
            allocations[client] = allocation
            return []
        case .channelBind:
            guard let number = request.channelNumber, (0x4000...0x4FFF).contains(number),
                let peer = request.peerAddress,
                allocation.channels[number].map({ $0.peer == peer }) ?? true,
                !allocation.channels.contains(where: { $0.key != number && $0.value.peer == peer })
            else { throw Refusal(error: .badRequest) }
            try check(peer, allocation)
            allocation.channels[number] = .init(peer: peer, expires: now + configuration.channelLifetime)
            allocation.permissions[peer.ip] = now + configuration.permissionLifetime
            allocations[client] = allocation
            return []
        default: throw Refusal(error: .badRequest)
        }
    }

    private func check(_ peer: TransportAddress, _ allocation: TURNServerAllocation) throws(Refusal) {
        guard allocation.relayed.contains(where: { $0.ip.family == peer.ip.family }) else {
            throw Refusal(error: .peerAddressFamilyMismatch)
        }
        guard !configuration.deniedPeers.contains(peer.ip) else { throw Refusal(error: .forbidden) }
    }

    private func lifetime(of request: STUNMessage) -> TimeDelta {
        guard let asked = request.lifetime else { return configuration.defaultLifetime }
        if asked == 0 && request.method == .refresh { return .zero }
        return min(configuration.maximumLifetime, max(.seconds(Double(asked)), configuration.defaultLifetime))
    }

    private mutating func allocate(
        _ request: STUNMessage, from client: NetworkPath, user: String, at now: Instant
    ) throws(Refusal) -> [STUNAttribute] {
        if let old = allocations[client] {
            guard old.transactionID == request.transactionID else { throw Refusal(error: .allocationMismatch) }
            return describe(old, at: now)
        }
        guard let transport = request.requestedTransport else { throw Refusal(error: .badRequest) }
        guard transport == 17 else { throw Refusal(error: .unsupportedTransportProtocol) }
        if let quota = configuration.quota, allocations.values.count(where: { $0.username == user }) >= quota {
            throw Refusal(error: .allocationQuotaReached)
        }
        if let capacity = configuration.capacity, allocations.count >= capacity {
            throw Refusal(error: .insufficientCapacity)
        }
        let wanted: [IPAddress.Family] =
            [request.requestedAddressFamily ?? .ipv4] + (request.additionalAddressFamily.map { [$0] } ?? [])
        var relayed: [TransportAddress] = []
        for family in wanted {
            guard let ip = configuration.relayAddresses.first(where: { $0.family == family }) else { continue }
            relayed.append(TransportAddress(ip, nextPort))
            nextPort = nextPort == .max ? 49_152 : nextPort + 1
        }
        guard !relayed.isEmpty else { throw Refusal(error: .addressFamilyNotSupported) }
        for address in relayed { owners[address] = client }
        let allocation = TURNServerAllocation(
            client: client, username: user, relayed: relayed, expires: now + lifetime(of: request),
            transactionID: request.transactionID)
        allocations[client] = allocation
        var attributes = describe(allocation, at: now)
        for family in wanted where !relayed.contains(where: { $0.ip.family == family }) {
            attributes.append(.addressErrorCode(family, .addressFamilyNotSupported))
        }
        return attributes
    }

    private func describe(_ allocation: TURNServerAllocation, at now: Instant) -> [STUNAttribute] {
        allocation.relayed.map { address in
            let ip = configuration.externalAddresses[address.ip] ?? address.ip
            return .xorRelayedAddress(TransportAddress(ip, address.port))
        } + [
            .xorMappedAddress(allocation.client.remote),
            .lifetime(UInt32(clamping: (allocation.expires - now).milliseconds / 1_000)), .software("simulated"),
        ]
    }
}
