import Media
import Peer
import Primitives
import Testing

@testable import Endpoint

/// From what a call was to its exit code.
@Suite struct ConclusionTests {
    private final class Silence: CallReporter {
        func log(_ level: CallLogLevel, _ message: String) {}
        func status(_ status: CallStatus) {}
    }

    private func outcome(frames: Int) -> CallOutcome {
        var summary = RecordingSummary(path: "out.webm", format: .webm)
        summary.tracks = [RecordingSummary.Track(kind: .audio)]
        summary.tracks[0].frames = frames
        summary.notes = ["frames of PCMU were left out"]
        var report = CallReport(role: "answerer", journal: CallJournal(), statistics: StatisticsReport())
        report.recording = summary
        return CallSession(options: CallOptions(), reporter: Silence()).conclude([report], kind: "stdio")
    }

    @Test func aRecordingWithNothingInItFailsTheCallAndSaysWhy() {
        let outcome = outcome(frames: 0)
        #expect(outcome.status == .recording)
        #expect(outcome.summary.contains { $0.contains("PCMU") })
        #expect(outcome.summary.contains { $0.contains("nothing was recorded") })
    }

    @Test func aRecordingWithFramesDoesNot() {
        #expect(outcome(frames: 1).status == .success)
    }
}
