import Media
import Peer
import Primitives

/// One peer's recording: takes the call's events, survives a recorder that fails, and tells in the end what came of it.
///
/// A recording that fails (disk full) does not end the call by itself: what was recorded is finished and kept, the error
/// is remembered and decides the exit code.
public final class RecordingSession {
    private var recorder: Recorder?
    private var kinds: [String: MediaKind]
    public private(set) var summary: RecordingSummary?
    public private(set) var failure: RecordingError?

    /// - Parameters:
    ///   - kinds: the kind of each section that may bring frames, by MID.
    ///   - later: kinds that a section agreed on later may bring, which get their place in the file.
    public init(
        path: String, kinds: [String: MediaKind], later: Set<MediaKind> = []
    ) throws(RecordingError) {
        self.kinds = kinds
        recorder = try Recorder(
            path: path,
            tracks: Set(kinds.values).union(later).sorted { $0.rawValue < $1.rawValue }.map { TrackExpectation($0) })
    }

    /// Whether frames still go into the file.
    public var isRecording: Bool { recorder != nil }

    /// The sections that bring frames from now on, by MID: another exchange agreed on them.
    public func adopt(_ kinds: [String: MediaKind]) { self.kinds = kinds }

    public func note(_ event: PeerEvent) {
        guard let recorder else { return }
        do {
            switch event {
            case .frame(let frame, let mid):
                guard let kind = kinds[mid] else { return }
                try recorder.write(frame, track: kind)
            case .senderReport(let mid, let ntp, let timestamp):
                guard let kind = kinds[mid] else { return }
                recorder.noteSenderReport(track: kind, ntp: ntp, rtp: timestamp)
            case .captureTime(let mid, let ntp, let timestamp):
                guard let kind = kinds[mid] else { return }
                recorder.noteCaptureTime(track: kind, ntp: ntp, rtp: timestamp)
            default: break
            }
        } catch {
            failure = error
            finish()
        }
    }

    public func advance(to now: Instant) {
        guard let recorder else { return }
        do {
            try recorder.advance(to: now)
        } catch {
            failure = error
            finish()
        }
    }

    /// Ends the file. Safe to call twice.
    public func finish() {
        guard let recorder else { return }
        self.recorder = nil
        do {
            summary = try recorder.finish()
        } catch {
            failure = failure ?? error
            summary = recorder.summary
        }
    }
}
