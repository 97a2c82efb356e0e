import DTLSSRTP
import ICE
import Primitives
import SDP

/// ICE and DTLS: from a validated pair to keys.
extension PeerEngine {
    /// Hands the sockets' addresses to ICE, which announces host candidates at once and asks the STUN servers.
    public mutating func gather(bases: [LocalBase], at now: Instant, into out: inout Output) {
        note(.gatheringStarted, at: now, into: &out)
        ice.gather(bases: bases, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    /// Another address mapping from now on: names in its rules were looked up anew.
    public mutating func setAddressMapping(_ mapping: AddressMapping, at now: Instant, into out: inout Output) {
        ice.setMapping(mapping, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    public var addressMapping: AddressMapping { ice.mapping }

    /// The ufrags checks of the other side may name, newest first: what tells calls on one socket apart.
    public var localUfrags: [String] { ice.answeredUfrags }

    /// The other side gets a description of ours now: ICE's patience counts from here.
    mutating func noteDescriptionSent(at now: Instant, into out: inout Output) {
        ice.localDescriptionSent(at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    mutating func drainICE(at now: Instant, into out: inout Output) {
        if iceOutput.isEmpty { return }
        for datagram in iceOutput.datagrams {
            counters.packetsSent += 1
            counters.bytesSent += datagram.bytes.count
        }
        out.datagrams.append(contentsOf: iceOutput.datagrams)
        for entry in iceOutput.trace {
            trace(.ice(entry), at: now, into: &out)
            // Not any STUN message: requests to servers are no checks.
            switch entry {
            case .checkSent: note(.firstCheckSent, at: now, into: &out)
            case .requestAnswered: note(.firstCheckReceived, at: now, into: &out)
            default: break
            }
        }
        let events = iceOutput.events
        iceOutput.removeAll()
        for event in events { apply(event, at: now, into: &out) }
        // A path other than the one in use may have been validated, too.
        if dtls != nil, !earlyDatagrams.isEmpty { replayEarlyDatagrams(of: .dtls, at: now, into: &out) }
    }

    private mutating func apply(_ event: ICEEvent, at now: Instant, into out: inout Output) {
        switch event {
        case .localCandidate(let candidate):
            let attribute = CandidateAttribute(candidate, ufrag: ice.localCredentials.ufrag)
            gatheredCandidates.append(attribute)
            let section = transportSection
            out.events.append(.localCandidate(attribute, mid: section.mid, mLineIndex: section.index))
        case .gatheringStateChanged(let state):
            guard state == .complete else { return }
            note(.gatheringComplete, at: now, into: &out)
            out.events.append(.gatheringComplete)
        case .connectionStateChanged(let state):
            out.events.append(.iceStateChanged(state))
            follow(state, at: now, into: &out)
        case .sendingPathChanged(let path):
            sendingPathChanged(path, at: now, into: &out)
        case .selectedPairChanged(let local, let remote, _):
            note(.pairSelected, at: now, into: &out)
            out.events.append(.selectedPairChanged(local: local, remote: remote))
        case .relayConnectionWanted(let server):
            out.events.append(.relayConnectionWanted(server))
        case .relayedDatagram(var datagram):
            dispatch(&datagram, at: now, into: &out)
        case .restartWanted(let silence):
            out.events.append(.restartWanted(silence: silence))
        case .consentExpired, .restartedByRemote:
            break
        }
    }

    /// The state of the whole follows that of ICE, but for ends that no path can mend.
    private mutating func follow(_ state: ICEConnectionState, at now: Instant, into out: inout Output) {
        switch connectionState {
        case .failed(.dtls), .failed(.negotiation), .closed: return
        default: break
        }
        switch state {
        case .checking:
            if connectionState == .new || srtp == nil { setConnectionState(.connecting, into: &out) }
        case .connected, .completed:
            note(.iceConnected, at: now, into: &out)
            setConnectionState(srtp == nil ? .connecting : .connected, into: &out)
        case .disconnected:
            setConnectionState(.disconnected, into: &out)
        case .failed:
            setConnectionState(.failed(.ice(ice.failureDescription)), into: &out)
        case .new, .closed:
            break
        }
    }

    private mutating func sendingPathChanged(_ path: NetworkPath?, at now: Instant, into out: inout Output) {
        guard path != nil else { return }
        startDTLSIfReady(at: now, into: &out)
        // The other side moved or came back: its decoder may miss what was sent into the void.
        if srtp != nil {
            follow(.connected, at: now, into: &out)
            bandwidth.notePathChanged(at: now)
            for mid in senders.keys where senders[mid]?.stream.configuration.codec.kind == .video {
                out.events.append(.keyframeRequested(mid: mid))
            }
            requestKeyframes(at: now, into: &out)
        }
    }

    /// Whether the other side announced a fingerprint of a hash we can check. Without one nothing could be trusted.
    func hasUsableFingerprint(_ session: NegotiatedSession) -> Bool { !remoteFingerprints(of: session).isEmpty }

    /// DTLS starts on the first validated pair, before nomination, once both descriptions are known (RFC 8842 §5).
    mutating func startDTLSIfReady(at now: Instant, into out: inout Output) {
        guard dtls == nil, !isClosed, let session, ice.sendingPath != nil else { return }
        var settings = DTLSTransport.Configuration(certificate: configuration.certificate)
        settings.profiles = configuration.srtpProfiles
        settings.clock = configuration.clock
        settings.logsKeys = configuration.logsKeys
        settings.roundTripTime = ice.currentRoundTripTime
        settings.handshakeTimeout = configuration.handshakeTimeout
        if configuration.isDeterministic { settings.randomness = random.split() }
        let transport = DTLSTransport(settings)
        dtls = transport
        note(.dtlsStarted, at: now, into: &out)
        transport.setRemoteFingerprints(remoteFingerprints(of: session), at: now, into: &dtlsOutput)
        transport.start(as: session.isDTLSClient ? .client : .server, at: now, into: &dtlsOutput)
        drainDTLS(at: now, into: &out)
    }

    private func remoteFingerprints(of session: NegotiatedSession) -> [Fingerprint] {
        session.remoteTransport?.fingerprints.compactMap { attribute in
            Fingerprint.Algorithm(rawValue: attribute.hashFunction.lowercased())
                .flatMap { Fingerprint(algorithm: $0, bytes: attribute.bytes) }
        } ?? []
    }

    mutating func receiveDTLS(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        guard dtls != nil, ice.isValidated(datagram.path) else {
            // The other side may have validated its pair first, or we do not know its fingerprint yet.
            keepEarly(datagram, .dtls, at: now, into: &out)
            // Or it has moved in the middle of the handshake, before ours began, or while our last flight was on its way.
            ice.noteTraffic(on: datagram.path, isAuthentic: false, at: now, into: &iceOutput)
            drainICE(at: now, into: &out)
            return
        }
        dtls?.receive(datagram.bytes, at: now, into: &dtlsOutput)
        drainDTLS(at: now, into: &out)
    }

    mutating func drainDTLS(at now: Instant, into out: inout Output) {
        for bytes in dtlsOutput.datagrams { _ = transmit(bytes, at: now, into: &out) }
        for entry in dtlsOutput.trace { trace(.dtls(entry), at: now, into: &out) }
        let events = dtlsOutput.events
        dtlsOutput.removeAll()
        for event in events {
            switch event {
            case .connected(let association):
                self.association = association
                connected(association.keyingMaterial, at: now, into: &out)
            case .failed(let error):
                setConnectionState(.failed(.dtls(error)), into: &out)
            case .closedByPeer:
                setConnectionState(.closed, into: &out)
            case .keyLogLine(let line):
                out.events.append(.keyLog(line))
            }
        }
    }

    private mutating func connected(_ keys: SRTPKeyingMaterial, at now: Instant, into out: inout Output) {
        guard let role = dtls?.role else { return }
        do {
            srtp = try SRTPSession(keying: keys, localRole: role)
        } catch {
            setConnectionState(.failed(.dtls(.refused(reason: "SRTP: \(error)"))), into: &out)
            return
        }
        note(.dtlsConnected, at: now, into: &out)
        bandwidth.start(at: now)
        setConnectionState(.connected, into: &out)
        out.events.append(.connected)
        replayEarlyDatagrams(of: .rtp, at: now, into: &out)
    }

    /// Whether what the relay servers held for us is freed: after `close`, sockets may be closed then.
    public var areRelaysReleased: Bool { ice.areRelaysReleased }

    /// The connection to a TURN server stands; `base` is its address on our side.
    public mutating func relayConnected(
        _ server: RelayServer, on base: LocalBase, at now: Instant, into out: inout Output
    ) {
        ice.relayConnected(server, on: base, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    /// There is no connection to a TURN server, or none any more. Gives whether another is of use.
    public mutating func relayDisconnected(
        _ server: RelayServer, from base: TransportAddress?, reason: String, at now: Instant, into out: inout Output
    ) -> Bool {
        let isWanted = ice.relayDisconnected(server, from: base, reason: reason, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
        return isWanted
    }

    /// After `close` only relay servers are heard, until they have freed what they held.
    mutating func receiveReleasing(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        ice.receive(datagram, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    mutating func keepEarly(
        _ datagram: Datagram, _ packetClass: PacketClass, at now: Instant, into out: inout Output
    ) {
        guard earlyDatagrams.append(datagram) else {
            drop(datagram, packetClass, .earlyBufferFull, at: now, into: &out)
            return
        }
        trace(.peer(.earlyPacketKept(class: packetClass, path: datagram.path)), at: now, into: &out)
    }

    /// Gives kept datagrams another chance: DTLS when a path was validated, media when the keys are there.
    mutating func replayEarlyDatagrams(of packetClass: PacketClass, at now: Instant, into out: inout Output) {
        for _ in 0..<earlyDatagrams.count {
            guard var datagram = earlyDatagrams.popFirst() else { return }
            let isDTLS = PacketClass(datagram.bytes) == .dtls
            switch packetClass {
            case .dtls where isDTLS && dtls != nil && ice.isValidated(datagram.path):
                dtls?.receive(datagram.bytes, at: now, into: &dtlsOutput)
                drainDTLS(at: now, into: &out)
            case .rtp where !isDTLS:
                if PacketClass(datagram.bytes) == .rtcp {
                    receiveRTCP(&datagram, at: now, into: &out)
                } else {
                    receiveRTP(&datagram, at: now, into: &out)
                }
            default:
                earlyDatagrams.append(datagram)
            }
        }
    }
}

extension PeerEngine {
    /// The section the transport is described in, with which candidates are signalled.
    public var transportSection: (mid: String, index: Int) {
        let description = negotiator.localDescription
        let index = description?.taggedIndex ?? 0
        guard let media = description?.media, media.indices.contains(index) else { return ("0", 0) }
        return (media[index].mid ?? "\(index)", index)
    }
}

extension CandidateAttribute {
    /// The SDP form of a local candidate (RFC 8839 §5.1).
    init(_ candidate: Candidate, ufrag: String) {
        self.init(
            foundation: candidate.foundation, component: candidate.component, transport: .udp,
            priority: candidate.priority, host: .address(candidate.address.ip), port: candidate.address.port,
            kind: Kind(candidate.type), relatedHost: candidate.relatedAddress.map { .address($0.ip) },
            relatedPort: candidate.relatedAddress?.port, extensions: [Extension(name: "ufrag", value: ufrag)])
    }
}

extension CandidateAttribute.Kind {
    init(_ type: CandidateType) {
        switch type {
        case .host: self = .host
        case .serverReflexive: self = .serverReflexive
        case .peerReflexive: self = .peerReflexive
        case .relayed: self = .relayed
        }
    }
}
