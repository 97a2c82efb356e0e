import Primitives

extension SendStream {
    /// Takes over what a renegotiation changed: payload types, extension numbers, retransmission. The SSRC stays, and
    /// sequence numbers and timestamps continue, so that nobody counts from anew. Timestamps of another clock rate begin
    /// elsewhere, as those of a source that was replaced do.
    public mutating func adopt(_ settings: SendStreamConfiguration) {
        guard settings != configuration, settings.ssrc == configuration.ssrc else { return }
        let former = configuration
        configuration = settings
        configuration.firstSequenceNumber = former.firstSequenceNumber
        configuration.firstTimestamp = former.firstTimestamp
        templates = HeaderTemplates(settings)
        // The name must be told again where its number changed: the far end may have forgotten whose the SSRC is.
        if settings.extensions != former.extensions || settings.mid != former.mid { isKnown = false }
        if settings.historyCapacity != former.historyCapacity || settings.historyAge != former.historyAge {
            history = SendHistory(capacity: settings.historyCapacity, maximumAge: settings.historyAge)
        }
        if settings.clockRate != former.clockRate {
            clock = MediaClockMap(clockRate: settings.clockRate)
            lastMedia = nil
            isSourceNew = false
        }
        let isEventClockNew =
            settings.clockRate != former.clockRate
            || settings.telephoneEventClockRate != former.telephoneEventClockRate
        if isEventClockNew { tones = TelephoneEventSender(settings) }
    }
}

extension SendStream {
    /// The next frame is of another source, which counts from a zero of its own. On the wire time goes on: its timestamp
    /// follows that of the last frame by the time between the two.
    public mutating func beginSource() { isSourceNew = lastMedia != nil }

    /// A frame's timestamp on the stream's timeline.
    mutating func mediaTime(of frame: EncodedFrame, at now: Instant) -> Int64 {
        if isSourceNew, let last = lastMedia {
            let passed = Swift.max(1, ticks(now - last.at, clockRate: configuration.clockRate))
            sourceOffset = last.time &+ passed &- frame.timestamp
            isSourceNew = false
        }
        let time = frame.timestamp &+ sourceOffset
        lastMedia = (time, now)
        return time
    }
}
