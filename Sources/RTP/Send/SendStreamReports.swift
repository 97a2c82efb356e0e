import Primitives

extension SendStream {
    /// The report for this moment, without report blocks (RFC 3550 §6.4.1); `nil` before the first frame.
    public mutating func senderReport(wallClock: WallClock, at now: Instant) -> SenderReport? {
        guard let mediaTime = clock.timestamp(at: now), hasSentMedia else { return nil }
        let report = SenderReport(
            ssrc: configuration.ssrc, ntp: wallClock.ntp(at: now), timestamp: rtpTimestamp(of: mediaTime),
            packetCount: UInt32(truncatingIfNeeded: mediaPackets),
            octetCount: UInt32(truncatingIfNeeded: mediaOctets))
        sentReports.appendDroppingOldest((report.ntp.compact, now))
        return report
    }

    /// SDES with the canonical name; goes with every compound packet (RFC 3550 §6.1).
    public var sourceDescription: SourceDescription.Chunk {
        SourceDescription(ssrc: configuration.ssrc, cname: configuration.cname).chunks[0]
    }

    /// Takes in what the far end says of this stream; blocks of other streams are ignored.
    public mutating func receive(report: ReportBlock, at now: Instant) {
        guard report.ssrc == configuration.ssrc, hasSentMedia else { return }
        isKnown = true
        remote.reports &+= 1
        remote.lastReportAt = now
        remote.fractionLost = Double(report.fractionLost) / 256
        remote.packetsLost = Int64(report.cumulativeLost)
        remote.highestSequence = report.highestSequence
        remote.jitterTicks = report.jitter
        remote.jitter = duration(ofTicks: Int64(report.jitter), clockRate: configuration.clockRate)
        guard report.lastSenderReport != 0, let sent = departure(of: report.lastSenderReport) else { return }
        let delay = TimeDelta(compact: report.delaySinceLastSenderReport)
        let rtt = now - sent - delay
        // A peer that says it held the report for longer than it was gone is wrong by more than its clock's grain.
        guard rtt > .milliseconds(-5) else { return }
        let measured = Swift.max(rtt, .microseconds(100))
        remote.roundTripTime = measured
        remote.totalRoundTripTime += measured
        remote.roundTripTimeMeasurements &+= 1
        remote.smoothedRoundTripTime = remote.smoothedRoundTripTime.map { $0 + (measured - $0) / 8 } ?? measured
    }

    private mutating func departure(of compact: UInt32) -> Instant? {
        var found: Instant?
        for _ in 0..<sentReports.count {
            guard let entry = sentReports.popFirst() else { break }
            if entry.compact == compact { found = entry.at }
            sentReports.append(entry)
        }
        return found
    }

    /// Counts a PLI for this stream (RFC 4585 §6.3.1). The owner asks the encoder.
    public mutating func receive(_ indication: PictureLossIndication) -> Bool {
        guard indication.mediaSSRC == configuration.ssrc else { return false }
        statistics.pliCount &+= 1
        return true
    }

    /// Counts a FIR for this stream. A repeat of the last command of a sender is no new one (RFC 5104 §4.3.1.2).
    /// - Returns: whether a keyframe is due.
    public mutating func receive(_ request: FullIntraRequest) -> Bool {
        var isNew = false
        for entry in request.entries where entry.ssrc == configuration.ssrc {
            if lastCommands[request.senderSSRC] == entry.command { continue }
            if lastCommands.count >= 16 { lastCommands.removeAll() }
            lastCommands[request.senderSSRC] = entry.command
            statistics.firCount &+= 1
            isNew = true
        }
        return isNew
    }
}
