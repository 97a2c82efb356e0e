import FixtureSupport
import Foundation
import Media
import Primitives
import Testing

@Suite struct SourcePassthroughTests {
    private let clip = Fixtures.path("media/clip-vp8-opus.webm")

    /// The bytes of a track's packets as ffmpeg copies them out, and their sizes as ffprobe lists them.
    private func packets(_ path: String, _ kind: String) throws -> [[UInt8]] {
        let folder = try TemporaryFolder()
        try Tools.ffmpeg(["-i", path, "-map", "0:\(kind)", "-c", "copy", "-f", "data", folder.file("data")])
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.file("data"))))
        let list = try Tools.run(
            "ffprobe", ["-v", "error", "-select_streams", kind, "-show_entries", "packet=size", "-of", "csv=p=0", path])
        var at = 0
        let sizes = String(decoding: list, as: UTF8.self).split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
        return sizes.map { size in
            defer { at += size }
            return Array(bytes[at..<at + size])
        }
    }

    @Test func packetsAreThoseOfTheFile() throws {
        let pulled = try Pulled(clip) { $0.passthrough = true }
        let (sound, pictures) = (try packets(clip, "a"), try packets(clip, "v"))
        #expect(pulled.video.count == 180 && pulled.audio.count == 301)
        #expect(pulled.audio.map(\.frame.payload) == sound)
        #expect(pulled.video.map(\.frame.payload) == pictures)
        #expect(pulled.audioSteps == [960])
        #expect(pulled.timesInOrder && pulled.peeksAgree)
        #expect(pulled.video.first?.frame.isKeyframe == true && pulled.video[1].frame.isKeyframe == false)
        #expect(pulled.audio.allSatisfy { $0.frame.codec == .opus && $0.frame.duration == 960 })
    }

    @Test func flashAndBeepStayTogether() throws {
        let pulled = try Pulled(clip) { $0.passthrough = true }
        let (flashes, beeps) = (try pulled.flashes(), try pulled.beeps())
        #expect(flashes.count == 6 && beeps.count == 6)
        // The file itself has its pictures 7 ms late.
        for (flash, beep) in zip(flashes, beeps) { #expect(abs((flash - beep).milliseconds) <= 10, "\(flash) \(beep)") }
    }

    @Test func oneTrackOfTwoMayBeForeign() throws {
        let folder = try TemporaryFolder()
        let mixed = folder.file("mixed.mkv")
        try Tools.ffmpeg(["-i", clip, "-c:v", "copy", "-c:a", "pcm_s16le", mixed])
        let pulled = try Pulled(mixed) {
            $0.passthrough = true
            $0.tracks = [.video]
        }
        #expect(pulled.video.count == 180)
        do {
            _ = try Pulled(mixed) { $0.passthrough = true }
            Issue.record("PCM was passed through")
        } catch { #expect((error as? MediaError)?.kind == .passthroughUnavailable(found: "pcm_s16le")) }
    }

    @Test func oggOpusAndIVFArePassedThroughToo() throws {
        let folder = try TemporaryFolder()
        try Tools.ffmpeg([
            "-i", clip, "-vn", "-c", "copy", folder.file("a.ogg"), "-an", "-c", "copy", folder.file("v.ivf"),
        ])
        let whole = try Pulled(clip) { $0.passthrough = true }
        let sound = try Pulled(folder.file("a.ogg")) { $0.passthrough = true }
        let pictures = try Pulled(folder.file("v.ivf")) { $0.passthrough = true }
        #expect(sound.audio.map(\.frame.payload) == whole.audio.map(\.frame.payload))
        #expect(sound.audioSteps == [960])
        #expect(pictures.video.map(\.frame.payload) == whole.video.map(\.frame.payload))
    }

    @Test func loopsGoOnInTime() throws {
        let pulled = try Pulled(clip, until: .milliseconds(12_500)) {
            $0.passthrough = true
            $0.loop = true
        }
        let first = try Pulled(clip) { $0.passthrough = true }
        #expect(pulled.timesInOrder)
        #expect((360...400).contains(pulled.video.count))
        #expect(
            Array(pulled.video.dropFirst(180).prefix(10).map(\.frame.payload))
                == first.video.prefix(10).map(\.frame.payload))
        #expect(pulled.videoSteps.allSatisfy { (2_800...4_500).contains($0) }, "\(pulled.videoSteps)")
        #expect(pulled.audioSteps.allSatisfy { (960...2_400).contains($0) }, "\(pulled.audioSteps)")
    }
}
