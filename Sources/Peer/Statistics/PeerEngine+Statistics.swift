import DTLSSRTP
import ICE
import Primitives
import RTP
import SDP

/// W3C webrtc-stats, read from the parts when asked for.
extension PeerEngine {
    /// A snapshot. Object ids are stable over the life of the connection.
    public func statistics(at now: Instant) -> StatisticsReport {
        var report = StatisticsReport()
        let timestamp = Double(wallClock.unixNanoseconds) / 1e6 + (now - wallClock.instant).seconds * 1000
        func object(_ type: StatisticsType, _ id: String) -> StatisticsObject {
            StatisticsObject(type, id: id, timestamp: timestamp)
        }
        addTransport(to: &report, object)
        addPairs(to: &report, object)
        for mid in senders.keys.sorted() {
            if let sender = senders[mid] { addSender(sender, mid: mid, to: &report, object) }
        }
        for ssrc in receivers.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            if let receiver = receivers[ssrc] { addReceiver(receiver, ssrc: ssrc, at: now, to: &report, object) }
        }
        return report
    }

    private typealias Maker = (StatisticsType, String) -> StatisticsObject

    private func addTransport(to report: inout StatisticsReport, _ object: Maker) {
        var transport = object(.transport, "T")
        transport.set("packetsSent", counters.packetsSent)
        transport.set("packetsReceived", counters.packetsReceived)
        transport.set("bytesSent", counters.bytesSent)
        transport.set("bytesReceived", counters.bytesReceived)
        transport.set("iceRole", ice.role.rawValue)
        transport.set("iceLocalUsernameFragment", ice.localCredentials.ufrag)
        transport.set("iceState", ice.connectionState.rawValue)
        transport.set("dtlsState", dtls?.state.rawValue ?? "new")
        transport.set("selectedCandidatePairId", ice.selectedPair.map { "CP\($0.id)" })
        if let association {
            transport.set("tlsVersion", String(association.version, radix: 16, uppercase: true))
            transport.set("dtlsCipher", association.cipherSuite)
            transport.set("dtlsRole", dtls?.role?.rawValue)
            transport.set("srtpCipher", association.keyingMaterial.profile.description)
        }
        // Not of the standard: what was thrown away, which is what a diagnosis asks first.
        transport.set("packetsDropped", counters.packetsDropped)
        report.objects.append(transport)

        var certificate = object(.certificate, "CF")
        certificate.set("fingerprint", configuration.certificate.fingerprint.value)
        certificate.set("fingerprintAlgorithm", configuration.certificate.fingerprint.algorithm.rawValue)
        report.objects.append(certificate)
    }

    private func addPairs(to report: inout StatisticsReport, _ object: Maker) {
        var seen: Set<String> = []
        func add(_ candidate: Candidate, _ type: StatisticsType, _ id: String) {
            guard seen.insert(id).inserted else { return }
            var entry = object(type, id)
            entry.set("transportId", "T")
            entry.set("address", "\(candidate.address.ip)")
            entry.set("port", Int(candidate.address.port))
            entry.set("protocol", "udp")
            entry.set("candidateType", candidate.type.sdpName)
            entry.set("priority", Int(candidate.priority))
            entry.set("foundation", candidate.foundation)
            entry.set("url", candidate.url)
            entry.set("relayProtocol", type == .localCandidate ? candidate.relayProtocol : nil)
            // Not of the standard: the real address of a local candidate, the announced one of a remote one.
            let real = candidate.type == .host && candidate.base != candidate.address ? candidate.base : nil
            entry.set("baseAddress", real.map { "\($0)" })
            entry.set("signaledAddress", candidate.signaledAddress.map { "\($0)" })
            entry.set("relatedAddress", candidate.relatedAddress.map { "\($0.ip)" })
            entry.set("relatedPort", candidate.relatedAddress.map { Int($0.port) })
            report.objects.append(entry)
        }
        for pair in ice.pairs {
            let local = "L\(pair.local.type.sdpName)\(pair.local.address)"
            let remote = "R\(pair.remote.type.sdpName)\(pair.remote.address)"
            add(pair.local, .localCandidate, local)
            add(pair.remote, .remoteCandidate, remote)
            var entry = object(.candidatePair, "CP\(pair.id)")
            entry.set("transportId", "T")
            entry.set("localCandidateId", local)
            entry.set("remoteCandidateId", remote)
            entry.set("state", pair.state.rawValue)
            entry.set("nominated", pair.isNominated)
            entry.set("requestsSent", pair.requestsSent)
            entry.set("requestsReceived", pair.requestsReceived)
            entry.set("responsesSent", pair.responsesSent)
            entry.set("responsesReceived", pair.responsesReceived)
            entry.set("consentRequestsSent", pair.consentRequestsSent)
            entry.set("currentRoundTripTime", pair.currentRoundTripTime?.seconds)
            entry.set("totalRoundTripTime", pair.totalRoundTripTime.seconds)
            entry.set("availableOutgoingBitrate", pair.isNominated ? Double(bandwidth.targetBitrate) : nil)
            // Not of the standard: the path itself, what the far end saw us as, what happened last.
            entry.set("path", "\(pair.path)")
            entry.set("mappedAddress", pair.mappedAddress.map { "\($0)" })
            entry.set("lastEvent", pair.lastError.map { "\($0)" })
            report.objects.append(entry)
        }
    }

    private func addSender(
        _ sender: SenderState, mid: String, to report: inout StatisticsReport, _ object: Maker
    ) {
        let stream = sender.stream
        let settings = stream.configuration
        let codec = "CO\(settings.payloadType)"
        addCodec(codec, settings.codec, settings.payloadType, settings.clockRate, to: &report, object)
        let sent = stream.statistics
        var entry = object(.outboundRTP, "OT\(settings.ssrc)")
        entry.set("ssrc", Int(settings.ssrc.rawValue))
        entry.set("kind", settings.codec.kind.rawValue)
        entry.set("transportId", "T")
        entry.set("codecId", codec)
        entry.set("mid", mid)
        entry.set("packetsSent", Int(clamping: sent.packetsSent))
        entry.set("bytesSent", Int(clamping: sent.bytesSent))
        entry.set("headerBytesSent", Int(clamping: sent.headerBytesSent))
        entry.set("retransmittedPacketsSent", Int(clamping: sent.retransmittedPacketsSent))
        entry.set("retransmittedBytesSent", Int(clamping: sent.retransmittedBytesSent))
        entry.set("rtxSsrc", settings.retransmission.map { Int($0.ssrc.rawValue) })
        entry.set("framesSent", Int(clamping: sent.framesSent))
        entry.set("nackCount", Int(clamping: sent.nackCount))
        entry.set("targetBitrate", Double(bandwidth.targetBitrate))
        entry.set("active", sender.isActive)
        if settings.codec.kind == .video {
            entry.set("keyFramesSent", Int(clamping: sent.keyFramesSent))
            entry.set("pliCount", Int(clamping: sent.pliCount))
            entry.set("firCount", Int(clamping: sent.firCount))
        }
        report.objects.append(entry)

        guard stream.remote.reports > 0 else { return }
        var remote = object(.remoteInboundRTP, "RI\(settings.ssrc)")
        remote.set("ssrc", Int(settings.ssrc.rawValue))
        remote.set("kind", settings.codec.kind.rawValue)
        remote.set("localId", "OT\(settings.ssrc)")
        remote.set("fractionLost", stream.remote.fractionLost)
        remote.set("packetsLost", Int(clamping: stream.remote.packetsLost))
        remote.set("jitter", stream.remote.jitter.seconds)
        remote.set("roundTripTime", stream.remote.roundTripTime?.seconds)
        remote.set("totalRoundTripTime", stream.remote.totalRoundTripTime.seconds)
        remote.set("roundTripTimeMeasurements", Int(clamping: stream.remote.roundTripTimeMeasurements))
        report.objects.append(remote)
    }

    private func addReceiver(
        _ receiver: ReceiverState, ssrc: SSRC, at now: Instant, to report: inout StatisticsReport, _ object: Maker
    ) {
        let settings = receiver.stream.configuration
        let got = receiver.stream.statistics
        var entry = object(.inboundRTP, "IT\(ssrc)")
        entry.set("ssrc", Int(ssrc.rawValue))
        entry.set("kind", settings.kind.rawValue)
        entry.set("transportId", "T")
        entry.set("mid", receiver.mid)
        if let payloadType = got.payloadType ?? settings.payloadTypes.keys.min(),
            let codec = settings.payloadTypes[payloadType]
        {
            let id = "CI\(payloadType)"
            addCodec(id, codec, payloadType, settings.clockRate, to: &report, object)
            entry.set("codecId", id)
        }
        entry.set("packetsReceived", Int(clamping: got.packetsReceived))
        entry.set("packetsLost", Int(clamping: got.packetsLost))
        entry.set("jitter", got.jitter.seconds)
        entry.set("bytesReceived", Int(clamping: got.bytesReceived))
        entry.set("headerBytesReceived", Int(clamping: got.headerBytesReceived))
        entry.set("packetsDiscarded", Int(clamping: got.packetsDiscarded))
        entry.set("retransmittedPacketsReceived", Int(clamping: got.retransmittedPacketsReceived))
        entry.set("retransmittedBytesReceived", Int(clamping: got.retransmittedBytesReceived))
        entry.set("framesReceived", Int(clamping: got.framesReceived))
        entry.set("framesDropped", Int(clamping: got.framesDropped))
        entry.set("nackCount", Int(clamping: got.nackCount))
        entry.set("jitterBufferDelay", got.jitterBufferDelay)
        entry.set("jitterBufferEmittedCount", Int(clamping: got.jitterBufferEmittedCount))
        entry.set("packetsSkipped", Int(clamping: got.packetsSkipped))
        entry.set("rid", receiver.streamID)
        if let delay = got.playoutDelay {
            entry.set("playoutDelayMinimum", delay.minimum.seconds)
            entry.set("playoutDelayMaximum", delay.maximum.seconds)
        }
        if got.captureTimesReceived > 0 { entry.set("captureTimesReceived", Int(clamping: got.captureTimesReceived)) }
        if settings.kind == .audio, let level = got.audioLevel {
            entry.set("audioLevel", level)
            entry.set("totalAudioEnergy", got.totalAudioEnergy)
            entry.set("totalSamplesDuration", got.totalSamplesDuration)
        }
        if let last = got.lastPacketReceivedAt {
            entry.set(
                "lastPacketReceivedTimestamp",
                Double(wallClock.unixNanoseconds) / 1e6 + (last - wallClock.instant).seconds * 1000)
        }
        if settings.kind == .video {
            entry.set("keyFramesReceived", Int(clamping: got.keyFramesReceived))
            entry.set("pliCount", Int(clamping: got.pliCount))
            entry.set("firCount", Int(clamping: got.firCount))
            entry.set("rotation", Int(got.quarterTurns) * 90)
            entry.set("frameWidth", got.frameWidth)
            entry.set("frameHeight", got.frameHeight)
            entry.set("freezeCount", Int(clamping: got.freezeCount))
            entry.set("totalFreezesDuration", got.totalFreezesDuration)
            entry.set("pauseCount", Int(clamping: got.pauseCount))
            entry.set("totalPausesDuration", got.totalPausesDuration)
            entry.set("totalInterFrameDelay", got.totalInterFrameDelay)
            entry.set("totalSquaredInterFrameDelay", got.totalSquaredInterFrameDelay)
        }
        let remote = receiver.remote
        if remote.reportsSent > 0 { entry.set("remoteId", "RO\(ssrc)") }
        report.objects.append(entry)

        guard remote.reportsSent > 0 else { return }
        var sender = object(.remoteOutboundRTP, "RO\(ssrc)")
        sender.set("ssrc", Int(ssrc.rawValue))
        sender.set("kind", settings.kind.rawValue)
        sender.set("transportId", "T")
        sender.set("localId", "IT\(ssrc)")
        sender.set("packetsSent", Int(remote.packetsSent))
        sender.set("bytesSent", Int(remote.bytesSent))
        sender.set("remoteTimestamp", remote.timestamp)
        sender.set("reportsSent", Int(clamping: remote.reportsSent))
        sender.set("roundTripTime", remote.roundTripTime?.seconds)
        sender.set("totalRoundTripTime", remote.totalRoundTripTime.seconds)
        sender.set("roundTripTimeMeasurements", Int(clamping: remote.roundTripTimeMeasurements))
        report.objects.append(sender)
    }

    private func addCodec(
        _ id: String, _ codec: Codec, _ payloadType: UInt8, _ clockRate: Int, to report: inout StatisticsReport,
        _ object: Maker
    ) {
        guard !report.objects.contains(where: { $0.id == id }) else { return }
        var entry = object(.codec, id)
        entry.set("payloadType", Int(payloadType))
        entry.set("mimeType", "\(codec.kind.rawValue)/\(codec.rawValue)")
        entry.set("clockRate", clockRate)
        entry.set("channels", codec == .opus ? 2 : (codec.kind == .audio ? 1 : nil))
        entry.set("transportId", "T")
        report.objects.append(entry)
    }
}
