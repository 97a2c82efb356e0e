import Primitives
import RTP

/// One timeline for each section, whatever SSRCs its media comes under.
///
/// Whoever plays or records a section wants frames of one stream whose timestamps go on. On the wire a section may change
/// its SSRC (another source, a renegotiation), begin again after a hold with timestamps that were unwrapped anew, or carry
/// several encodings of one picture at once. So:
///
/// - The newest SSRC of a section is the one that counts, for a source that is replaced is replaced by a newer one. An
///   older one takes over when the newest has been silent for half a second, beginning with a keyframe.
/// - When it changes, timestamps go on by the time that has passed between the frames; within one SSRC they are the
///   sender's own, to the tick.
struct TrackTimelines: Sendable {
    private struct Timeline {
        var ssrc: SSRC
        var offset: Int64 = 0
        var clockRate: Int
        var last: Int64
        var lastAt: Instant
    }

    enum Placement {
        case at(Int64)
        /// Another stream of the section is the one that counts.
        case superfluous
        /// It would count, from a keyframe on.
        case awaitsKeyframe
    }

    private static let silence: TimeDelta = .milliseconds(500)
    private var timelines: [String: Timeline] = [:]

    /// - Parameter isNewer: whether a stream came after another of the same section, or the other is gone.
    mutating func place(
        _ frame: EncodedFrame, of ssrc: SSRC, clockRate: Int, in mid: String, at now: Instant,
        isNewer: (_ than: SSRC) -> Bool
    ) -> Placement {
        guard var timeline = timelines[mid] else {
            timelines[mid] = Timeline(ssrc: ssrc, clockRate: clockRate, last: frame.timestamp, lastAt: now)
            return .at(frame.timestamp)
        }
        if timeline.ssrc == ssrc, timeline.clockRate == clockRate {
            // After a hold the stream was unwrapped anew: the same timestamp but for multiples of 2³².
            let placed = frame.timestamp &+ timeline.offset
            let step = placed &- timeline.last
            let near = Int64(Int32(truncatingIfNeeded: step))
            if near != step { timeline.offset &+= near &- step }
        } else {
            guard timeline.ssrc == ssrc || isNewer(timeline.ssrc) || now - timeline.lastAt > Self.silence else {
                return .superfluous
            }
            guard frame.isKeyframe else { return .awaitsKeyframe }
            let last =
                timeline.clockRate == clockRate || timeline.clockRate <= 0
                ? timeline.last : timeline.last / Int64(timeline.clockRate) &* Int64(clockRate)
            let passed = Swift.max(1, Int64((now - timeline.lastAt).seconds * Double(clockRate)))
            timeline.offset = last &+ passed &- frame.timestamp
            timeline.ssrc = ssrc
            timeline.clockRate = clockRate
        }
        timeline.last = frame.timestamp &+ timeline.offset
        timeline.lastAt = now
        timelines[mid] = timeline
        return .at(timeline.last)
    }

    /// A timestamp of a stream in the terms of its section; `nil` while that stream does not count.
    func place(_ timestamp: Int64, of ssrc: SSRC, in mid: String) -> Int64? {
        guard let timeline = timelines[mid] else { return timestamp }
        guard timeline.ssrc == ssrc else { return nil }
        // As frames are placed: near the last one.
        return timeline.last &+ Int64(Int32(truncatingIfNeeded: timestamp &+ timeline.offset &- timeline.last))
    }

    /// Forgets the sections that are gone.
    mutating func keep(_ mids: Set<String>) { timelines = timelines.filter { mids.contains($0.key) } }
}

extension PeerEngine {
    /// A received frame on its section's timeline; `nil` where another stream is the section's.
    mutating func place(_ frame: EncodedFrame, from position: Int, at now: Instant) -> EncodedFrame? {
        let ssrc = receivers.keys[position]
        let placement = timelines.place(
            frame, of: ssrc, clockRate: receivers[at: position].stream.configuration.clockRate,
            in: receivers[at: position].mid, at: now
        ) { other in receivers.position(of: other).map { $0 < position } ?? true }
        switch placement {
        case .at(let timestamp):
            guard timestamp != frame.timestamp else { return frame }
            var frame = frame
            frame.timestamp = timestamp
            return frame
        case .superfluous: return nil
        case .awaitsKeyframe:
            enqueueFeedback(keyframeRequest(for: ssrc), at: now)
            return nil
        }
    }

    func tellReport(
        _ report: (ntp: NTPTime, timestamp: Int64), of ssrc: SSRC, mid: String, into out: inout Output
    ) {
        guard let timestamp = timelines.place(report.timestamp, of: ssrc, in: mid) else { return }
        out.events.append(.senderReport(mid: mid, ntp: report.ntp, timestamp: timestamp))
    }
}
