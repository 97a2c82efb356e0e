import Primitives

/// Maps the frames of an audio and a video track to one time line, that of the file.
///
/// Each track has a `TrackClock`, which makes of its RTP timestamps a media time without jumps. The file's time is media
/// time + offset, one offset a track, and this machine finds and keeps the offsets.
///
/// **Who leads.** Audio does: its offset stays as it was set, so that sound is never stretched or cut and a packet of
/// 20 ms takes 20 ms. The file therefore runs on the sender's audio clock. Video follows: what must hold is
/// `video offset − audio offset = relation`, and a picture may well show a few milliseconds early.
///
/// **The relation** comes from sender reports once both tracks have one: each gives NTP time − media time for its track,
/// and the difference of the two is exact whatever the network does. Until then it comes from the arrivals, by the least
/// delay of each track. A report that changes the relation by more than 50 ms must be borne out by the next one of the same
/// track; if the sender set its wall clock, the other track's next report shows that and all is as before. Reports that contradict the arrivals
/// by more than a second are wrong and not used.
///
/// **The start.** The first frames of a track wait until the relation is known from reports, at most `startWindow` (1 s).
/// Postern sends a report with its first packets, so against itself the wait is short. The same wait is made for a track
/// that joins later, and meanwhile the other track waits too. Time zero is the earliest frame that will be written.
///
/// **Corrections.** Later the relation changes: a report came late, clocks drift. An error of more than `step` (250 ms)
/// is made good at once by moving one track *forward*, which leaves a gap there: video if it is early, audio if video
/// would have to go back. A smaller one moves video by slewing: within two seconds, at 2 % to 12 % of its speed. The
/// arrivals are noisy, so corrections by them start at 10 ms only, or at 100 ms where reports were had before a jump.
///
/// **Always.** No track ever goes back: a frame is at least a millisecond after the one before. A pause is time, not cut.
public struct RecordingTimeline: Sendable {
    public struct Configuration: Sendable, Hashable {
        /// How long the first frames of a track wait for sender reports.
        public var startWindow: TimeDelta = .milliseconds(1_000)
        /// Timestamps that differ from the arrivals by more than this have started anew.
        public var jump: TimeDelta = .milliseconds(2_000)
        /// An error that is made good at once.
        public var step: TimeDelta = .milliseconds(250)

        public init() {}
    }

    private struct Track: Sendable {
        var clock: TrackClock?
        var offset: TimeDelta?
        var lastTime: TimeDelta?
        var lastPlaced: TimeDelta?
        /// A report that came before the first frame.
        var earlyReport: (ntp: TimeDelta, timestamp: Int64)?
        var hasReport = false
    }

    private let configuration: Configuration
    private let expected: Set<MediaKind>
    private var audio = Track()
    private var video = Track()
    private var firstArrival: Instant?
    private var referenceNTP: NTPTime?
    /// NTP offset of video − that of audio, as borne out by reports.
    private var reported: TimeDelta?
    private var doubted: MediaKind?
    /// The offsets come from reports that a jump has made void.
    private var wasReported = false
    /// Seconds a second by which video is being moved.
    private var slew: Double?
    private var lastStep: Instant?
    private var origin: TimeDelta?
    public private(set) var synchronization = RecordingSummary.Synchronization.none
    /// Whether sender reports came that contradict the arrivals.
    public private(set) var hasWrongReports = false

    public init(expected: Set<MediaKind>, configuration: Configuration = Configuration()) {
        self.expected = expected
        self.configuration = configuration
    }

    /// Takes note of a received frame, whether it will be written or not. Call it in order of receipt.
    /// - Returns: the frame's media time, for `place`; `nil` for a frame out of order.
    public mutating func note(
        _ kind: MediaKind, timestamp: Int64, clockRate: Int, at arrival: Instant
    ) -> TimeDelta? {
        firstArrival = firstArrival ?? arrival
        if self[kind].clock == nil {
            self[kind].clock = TrackClock(
                clockRate: clockRate, firstTimestamp: timestamp, arrival: arrival, jump: configuration.jump)
            let media = self[kind].clock?.note(timestamp, at: arrival)
            if let early = self[kind].earlyReport {
                self[kind].earlyReport = nil
                take(kind, ntp: early.ntp, timestamp: early.timestamp, at: arrival)
            }
            return media
        }
        let jumps = self[kind].clock?.jumps
        let media = self[kind].clock?.note(timestamp, at: arrival)
        if self[kind].clock?.jumps != jumps {
            wasReported = wasReported || reported != nil
            reported = nil
            doubted = nil
        }
        return media
    }

    /// Takes note of a sender report (RFC 3550 §6.4.1), its RTP timestamp unwrapped.
    public mutating func noteSenderReport(_ kind: MediaKind, ntp: NTPTime, timestamp: Int64, at now: Instant) {
        if ntp.rawValue != 0 { self[kind].hasReport = true }
        note(kind, ntp: ntp, timestamp: timestamp, at: now)
    }

    /// Takes note of a capture time: it says of one timestamp what a sender report says. Not heeded on a track that has had
    /// a report, since the two may come of different clocks.
    public mutating func noteCaptureTime(_ kind: MediaKind, ntp: NTPTime, timestamp: Int64, at now: Instant) {
        if !self[kind].hasReport { note(kind, ntp: ntp, timestamp: timestamp, at: now) }
    }

    private mutating func note(_ kind: MediaKind, ntp: NTPTime, timestamp: Int64, at now: Instant) {
        guard ntp.rawValue != 0 else { return }
        let reference = referenceNTP ?? ntp
        referenceNTP = reference
        let since = ntp.since(reference)
        guard self[kind].clock != nil else {
            self[kind].earlyReport = (since, timestamp)
            return
        }
        take(kind, ntp: since, timestamp: timestamp, at: now)
    }

    /// Whether frames are to wait, because a track's place is not yet known as well as it soon will be.
    public func isSettling(at now: Instant) -> Bool {
        guard let firstArrival else { return true }
        let tracks = [audio, video]
        if origin == nil {
            let missing = tracks.count { $0.clock == nil } > 2 - expected.count
            if missing { return now - firstArrival < configuration.startWindow }
        }
        guard audio.clock != nil, video.clock != nil, reported == nil else { return false }
        return tracks.contains { track in
            guard track.offset == nil, let clock = track.clock else { return false }
            return now - clock.firstArrival < configuration.startWindow
        }
    }

    /// Gives every track that has frames its place. Zero is the earliest of `first`, media times of the first frames
    /// that will be written; a later call, for a track that joins, leaves zero where it is.
    public mutating func settle(first: [MediaKind: TimeDelta]) {
        let relation = relation()
        for kind in [MediaKind.audio, .video] where self[kind].offset == nil {
            guard let arrivalOffset = self[kind].clock?.arrivalOffset else { continue }
            let other: MediaKind = kind == .audio ? .video : .audio
            if let otherOffset = self[other].offset, let relation {
                self[kind].offset = kind == .audio ? otherOffset - relation : otherOffset + relation
            } else {
                self[kind].offset = arrivalOffset
            }
        }
        if origin == nil {
            origin = first.compactMap { kind, media in self[kind].offset.map { media + $0 } }.min()
        }
    }

    /// Whether `settle` has given this track its place.
    public func isPlaced(_ kind: MediaKind) -> Bool { self[kind].offset != nil && origin != nil }

    /// The file time of a frame, later than that of every frame of its track before; `nil` where it lies before zero.
    public mutating func place(_ kind: MediaKind, media: TimeDelta) -> TimeDelta? {
        guard let origin else { return nil }
        correct(kind, media: media)
        guard let offset = self[kind].offset else { return nil }
        var time = media + offset - origin
        if let last = self[kind].lastTime {
            time = Swift.max(time, last + .milliseconds(1))
        } else if time < .zero {
            // Sound before the start is left out; the first picture is the keyframe and cannot be.
            if kind == .audio { return nil }
            time = .zero
        }
        self[kind].lastTime = time
        self[kind].lastPlaced = media
        return time
    }

    /// Times the timestamps of a track jumped.
    public func jumps(_ kind: MediaKind) -> Int { self[kind].clock?.jumps ?? 0 }

    /// By how much video is shown too early, as far as is known.
    public var error: TimeDelta? {
        guard let a = audio.offset, let v = video.offset, let relation = relation() else { return nil }
        return relation - (v - a)
    }
}

extension RecordingTimeline {
    private subscript(kind: MediaKind) -> Track {
        get { kind == .audio ? audio : video }
        set { if kind == .audio { audio = newValue } else { video = newValue } }
    }

    private mutating func take(_ kind: MediaKind, ntp: TimeDelta, timestamp: Int64, at now: Instant) {
        let used = self[kind].clock?.noteSenderReport(ntp: ntp, timestamp: timestamp, at: now)
        guard used == true, let a = audio.clock?.ntpOffset, let v = video.clock?.ntpOffset else { return }
        let candidate = v - a
        if let byArrival = arrivalRelation(), (candidate - byArrival).magnitude > .milliseconds(1_000) {
            hasWrongReports = true
            return
        }
        if let reported, (candidate - reported).magnitude > .milliseconds(50), doubted != kind {
            doubted = doubted ?? kind
            return
        }
        self.reported = candidate
        doubted = nil
    }

    private func relation() -> TimeDelta? { reported ?? arrivalRelation() }

    private func arrivalRelation() -> TimeDelta? {
        guard let a = audio.clock?.arrivalOffset, let v = video.clock?.arrivalOffset else { return nil }
        return v - a
    }

    /// Whether both tracks came lately and long enough for the arrivals to tell where they belong.
    private var isArrivalUsable: Bool {
        guard let a = audio.clock, let v = video.clock, a.isArrivalSettled, v.isArrivalSettled else { return false }
        return (a.lastArrival - v.lastArrival).magnitude < .milliseconds(2_000)
    }

    private mutating func correct(_ kind: MediaKind, media: TimeDelta) {
        guard let audioOffset = audio.offset, let videoOffset = video.offset else { return }
        synchronization = reported != nil ? .senderReports : .arrival
        guard reported != nil || isArrivalUsable, let relation = relation() else { return }
        let error = relation - (videoOffset - audioOffset)
        if error.magnitude > configuration.step {
            // Not more than once a second, whatever the reports say.
            let now = Swift.max(audio.clock?.lastArrival ?? .zero, video.clock?.lastArrival ?? .zero)
            if let lastStep, now - lastStep < .milliseconds(1_000) { return }
            lastStep = now
            if error > .zero { video.offset = videoOffset + error } else { audio.offset = audioOffset - error }
        } else if kind == .video, let last = video.lastPlaced {
            let size = error.magnitude
            let least: TimeDelta = .milliseconds(reported != nil ? 1 : wasReported ? 100 : 10)
            if size < .milliseconds(1) { slew = nil }
            if size >= least { slew = Swift.max(slew ?? 0.02, Swift.min(size.seconds / 2, 0.25)) }
            guard let slew else { return }
            let most = (media - last) * slew
            video.offset = videoOffset + (error < .zero ? -Swift.min(size, most) : Swift.min(size, most))
        }
    }
}

extension TimeDelta {
    fileprivate var magnitude: TimeDelta { self < .zero ? .zero - self : self }
}
