import Primitives

// What a receive stream does as time goes by: releases frames, gives up packets, asks for packets and keyframes.

extension ReceiveStream {
    /// When `advance(to:)` has something to do; `nil` for never.
    public var deadline: Instant? {
        earliest(earliest(nacks.deadline, stall.map { $0.since + wait }), keyframeDue)
    }

    /// How long a missing packet is waited for, as things stand.
    public var wait: TimeDelta {
        let retry = nacks.retryInterval(rtt: roundTripTime)
        let patience: TimeDelta
        switch (configuration.kind, configuration.isNACKEnabled) {
        case (.audio, false): patience = nacks.worstReordering * 1.25
        case (.audio, true): patience = retry * 3.0 + nacks.worstReordering
        case (.video, false): patience = nacks.worstReordering * 2.0
        case (.video, true): patience = retry * 4.0 + nacks.worstReordering
        }
        return clamp(patience, waitBounds.lowerBound, waitBounds.upperBound)
    }

    /// The configuration's limits, narrowed to those the sender set for the playout delay where it did.
    private var waitBounds: ClosedRange<TimeDelta> {
        let (shortest, longest) = (configuration.shortestWait, configuration.longestWait)
        guard let delay = counts.playoutDelay else { return shortest...Swift.max(shortest, longest) }
        let most = clamp(delay.maximum, shortest, longest)
        return clamp(delay.minimum, shortest, most)...most
    }

    /// Does what is due: releases frames, gives up packets, asks for packets and keyframes.
    public mutating func advance(to now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>) {
        release(at: now, into: &out)
        while let stall, stall.since + wait <= now {
            giveUp(at: now, into: &out)
            release(at: now, into: &out)
        }
        askForPackets(at: now, into: &out)
        askForKeyframe(at: now, into: &out)
    }

    mutating func release(at now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>) {
        let missing: Int64?
        switch configuration.kind {
        case .audio:
            while let frame = audio.nextFrame() { out.events.append(.frame(emit(frame, at: now))) }
            missing = audio.missing
            if let next = audio.next { nacks.forget(below: next) }
        case .video:
            while let frame = video.nextFrame() { emit(frame, at: now, into: &out) }
            missing = video.missing
            if let head = video.head { nacks.forget(below: head) }
            if video.phase == .awaitingKeyframe, video.head == nil {
                if video.sawMalformed { wantKeyframe(.malformed, at: now) }
                nacks.forget(before: now - wait)
                awaitKeyframe(at: now)
            } else {
                keyframeDue = nil
            }
            video.sawMalformed = false
        }
        guard let missing else {
            stall = nil
            return
        }
        if stall?.sequence != missing { stall = (missing, nacks.since(missing) ?? now) }
    }

    private mutating func giveUp(at now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>) {
        let skipped: Int
        switch configuration.kind {
        case .audio: skipped = audio.skip()
        case .video:
            skipped = video.giveUp()
            if video.head == nil {
                nacks.removeAll()
                wantKeyframe(.loss, at: now)
            }
        }
        stall = nil
        nacks.noteLost()
        counts.packetsSkipped += UInt64(skipped)
        counts.skipEvents += 1
        out.trace.append(.packetsSkipped(configuration.ssrc, count: skipped))
    }

    private mutating func askForPackets(at now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>) {
        let numbers = nacks.due(at: now, rtt: roundTripTime)
        var rest = numbers[...]
        while !rest.isEmpty {
            let part = rest.prefix(250)
            counts.nackCount += 1
            counts.nackedPackets += UInt64(part.count)
            out.events.append(.sendNACK(Array(part)))
            rest = rest.dropFirst(250)
        }
    }

    // MARK: Keyframes

    /// Drops what is held and begins again at the next keyframe: the decoder lost its way.
    public mutating func requireKeyframe(at now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>) {
        guard configuration.kind == .video, video.phase == .flowing else { return }
        video.giveUp()
        nacks.removeAll()
        stall = nil
        wantKeyframe(.decoder, at: now)
        advance(to: now, into: &out)
    }

    private var keyframeInterval: TimeDelta { Swift.max(.milliseconds(250), roundTripTime + .milliseconds(50)) }

    /// A keyframe is needed for certain: ask as soon as the last wish is old enough.
    mutating func wantKeyframe(_ reason: KeyframeRequestReason, at now: Instant) {
        guard configuration.keyframeRequests != .none else { return }
        keyframeReason = reason
        keyframeAwaitedSince = keyframeAwaitedSince ?? now
        keyframeDue = keyframeAskedAt.map { Swift.max(now, $0 + keyframeInterval) } ?? now
    }

    /// No keyframe is in work. Its first packet may have been overtaken, so ask a little later.
    private mutating func awaitKeyframe(at now: Instant) {
        guard keyframeDue == nil, hasReceived else { return }
        let reason = keyframeReason
        wantKeyframe(reason, at: now)
        if keyframeAskedAt == nil, let due = keyframeDue { keyframeDue = due + .milliseconds(20) }
    }

    private mutating func askForKeyframe(at now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>) {
        guard let due = keyframeDue, due <= now else { return }
        keyframeAskedAt = now
        keyframeDue = now + keyframeInterval
        if configuration.keyframeRequests == .fullIntraRequest { counts.firCount += 1 } else { counts.pliCount += 1 }
        out.events.append(.requestKeyframe(keyframeReason))
        out.trace.append(.keyframeRequested(configuration.ssrc, keyframeReason))
    }

    // MARK: Frames

    private mutating func emit(_ frame: AudioJitterBuffer.Frame, at now: Instant) -> EncodedFrame {
        let span: Int64
        switch frame.entry.codec {
        case .opus: span = OpusPayloadFormat.duration(of: frame.payload) ?? 0
        case .pcmu, .pcma: span = G711PayloadFormat.duration(of: frame.payload)
        case .comfortNoise, .telephoneEvent, .vp8: span = 0
        }
        counts.framesReceived += 1
        counts.jitterBufferDelay += (now - frame.entry.arrival).seconds * Double(span)
        counts.jitterBufferEmittedCount += UInt64(Swift.max(0, span))
        if let level = frame.entry.audioLevel { count(level: level, ticks: span) }
        return EncodedFrame(
            codec: frame.entry.codec, payload: frame.payload, timestamp: frame.entry.timestamp, duration: span,
            isKeyframe: true, arrival: frame.entry.arrival, followsLoss: frame.followsLoss,
            marker: frame.entry.flags.contains(.marker), audioLevel: frame.entry.audioLevel)
    }

    private mutating func count(level: UInt8, ticks: Int64) {
        let linear = AudioLevel(byte: level).linear
        let seconds = duration(ofTicks: ticks, clockRate: configuration.clockRate).seconds
        counts.audioLevel = linear
        counts.totalAudioEnergy += linear * linear * seconds
        counts.totalSamplesDuration += seconds
    }

    private mutating func emit(
        _ frame: VideoFrameAssembler.Frame, at now: Instant, into out: inout Outbox<ReceiveEvent, RTPTrace>
    ) {
        counts.framesReceived += 1
        counts.jitterBufferDelay += (now - frame.firstArrival).seconds
        counts.jitterBufferEmittedCount += 1
        if let turns = frame.quarterTurns { counts.quarterTurns = turns }
        freezes.note(frameAt: now, timestamp: frame.timestamp, followsLoss: frame.followsLoss, into: &counts)
        if frame.isKeyframe {
            counts.keyFramesReceived += 1
            counts.frameWidth = frame.header?.width ?? counts.frameWidth
            counts.frameHeight = frame.header?.height ?? counts.frameHeight
            if let since = keyframeAwaitedSince {
                out.trace.append(.keyframeReceived(configuration.ssrc, waited: now - since))
                keyframeAwaitedSince = nil
            }
        }
        keyframeReason = .loss
        out.events.append(
            .frame(
                EncodedFrame(
                    codec: frame.codec, payload: frame.payload, timestamp: frame.timestamp,
                    isKeyframe: frame.isKeyframe, arrival: frame.lastArrival, followsLoss: frame.followsLoss,
                    marker: true, quarterTurns: counts.quarterTurns)))
    }
}
