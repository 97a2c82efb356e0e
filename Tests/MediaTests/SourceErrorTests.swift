import FixtureSupport
import Foundation
import Media
import Primitives
import Testing

@Suite struct SourceErrorTests {
    private func failure(_ path: String, _ change: (inout SourceOptions) -> Void = { _ in }) -> MediaError? {
        do {
            _ = try Pulled(path, change)
            return nil
        } catch { return error as? MediaError }
    }

    @Test(arguments: [
        ("missing.mp4", MediaError.Kind.notFound), ("empty.mp4", .empty), ("text.mp4", .unknownFormat),
        ("no-index.mp4", .truncated), ("truncated.mp4", .truncated), ("", .isDirectory), ("README.md/x", .notFound),
        ("README.md", .unknownFormat),
    ]) func whatIsWrongWithAFileIsSaid(name: String, kind: MediaError.Kind) throws {
        let error = try #require(failure(Fixtures.path("media/" + name)))
        #expect(error.kind == kind, "\(error)")
        #expect(error.path.hasSuffix(name))
        #expect(error.message.hasSuffix("."))
    }

    @Test func aTruncatedFilePlaysAsFarAsItGoes() throws {
        let source = try MediaSources.open(Fixtures.path("media/truncated.mp4"))
        var frames = 0
        var failure: MediaError?
        do throws(MediaError) {
            while try source.next() != nil { frames += 1 }
        } catch { failure = error }
        #expect(frames > 40)
        #expect(failure?.kind == .truncated)
        #expect(failure?.message.contains("of 6000 ms") == true, "\(String(describing: failure))")
    }

    @Test func emptyPathsAndThoseWithAZeroByteAreNotFound() {
        #expect(failure("")?.kind == .notFound)
        #expect(failure("a\u{0}b")?.kind == .notFound)
    }

    @Test func noiseIsNoMedia() throws {
        let folder = try TemporaryFolder()
        var random = RandomSource.seeded(3)
        let error = try #require(failure(try folder.write(random.bytes(200_000), to: "noise.bin")))
        #expect([.unknownFormat, .corrupt].contains(error.kind), "\(error)")
    }

    @Test func aCodecWithoutDecoderIsNamed() throws {
        let folder = try TemporaryFolder()
        // The sample entry of the video track renamed to one that no one knows.
        var bytes = try Fixtures.bytes("media/clip-h264-aac.mp4")
        let entry = Array("avc1".utf8)
        for index in 0..<bytes.count - 4 where bytes[index] == entry[0] && Array(bytes[index..<index + 4]) == entry {
            bytes.replaceSubrange(index..<index + 4, with: Array("zzz9".utf8))
        }
        let path = try folder.write(bytes, to: "strange.mp4")
        let error = try #require(failure(path))
        guard case .unknownCodec = error.kind else {
            Issue.record("\(error)")
            return
        }
        #expect(failure(path) { $0.tracks = [.audio] } == nil)
    }

    @Test func damagedMediaInAGoodIndexIsCorrupt() throws {
        let folder = try TemporaryFolder()
        var bytes = try Fixtures.bytes("media/clip-h264-aac.mp4")
        for index in 7_700..<bytes.count { bytes[index] = 0 }
        let error = try #require(failure(try folder.write(bytes, to: "zero.mp4")))
        #expect(error.kind == .corrupt, "\(error)")
    }

    @Test func aTrackThatIsNotThereIsMissed() throws {
        let error = try #require(failure(Fixtures.path("media/tone.wav")) { $0.tracks = [.video] })
        #expect(error.kind == .noUsableTrack)
        #expect(error.advice.contains("audio"))
    }

    @Test func passthroughNamesTheCodecItFound() throws {
        let clip = Fixtures.path("media/clip-h264-aac.mp4")
        #expect(failure(clip) { $0.passthrough = true }?.kind == .passthroughUnavailable(found: "h264"))
        #expect(
            failure(clip) {
                $0.passthrough = true
                $0.tracks = [.audio]
            }?.kind == .passthroughUnavailable(found: "aac"))
        #expect(failure("test") { $0.passthrough = true }?.kind == .passthroughUnavailable(found: "raw"))
    }

    @Test func impossibleOptionsAreRefused() {
        let tests: [(inout SourceOptions) -> Void] = [
            { $0.tracks = [] }, { $0.videoCodec = .opus }, { $0.audioCodec = .vp8 }, { $0.audioCodec = .comfortNoise },
            { $0.fps = 0 }, { $0.fps = .nan }, { $0.fps = 1_000 }, { $0.videoSize = VideoSize(0, 0) },
            { $0.videoSize = VideoSize(100_000, 100) }, { $0.audioChannels = 6 },
            { $0.opusFrameDuration = .milliseconds(15) }, { $0.opusFrameDuration = .zero },
            { $0.opusFrameDuration = .milliseconds(-20) },
        ]
        for (index, test) in tests.enumerated() {
            #expect(failure("test", test)?.kind == .invalidOption, "\(index)")
        }
        #expect(
            failure(Fixtures.path("media/tone.wav")) { $0.inputFormat = "nosuchformat" }?.kind == .invalidOption)
        #expect(
            failure(Fixtures.path("media/tone.wav")) { $0.inputFormat = "wav:9:9" }?.kind == .invalidOption)
    }

    @Test func textInAnyGuiseIsNoVideo() throws {
        let folder = try TemporaryFolder()
        let text = Array("Lorem ipsum dolor sit amet.\n".utf8)
        for name in ["a.txt", "a.nfo", "a.ans", "a"] {
            let path = try folder.write(Array(repeatElement(text, count: 50).joined()), to: name)
            #expect(failure(path)?.kind == .unknownFormat, "\(name): \(String(describing: failure(path)))")
        }
    }

    @Test func mutatedFilesNeverEndTheTest() throws {
        let folder = try TemporaryFolder()
        let seed = Array(try Fixtures.bytes("media/clip-vp8-opus.webm").prefix(6_000))
        let wave = Array(try Fixtures.bytes("media/tone.wav").prefix(2_000))
        var mutations = Mutations(of: [seed, wave], seed: 21)
        for _ in 0..<60 {
            let path = try folder.write(mutations.next(), to: "mutant")
            do {
                _ = try Pulled(path, until: .milliseconds(300))
            } catch { #expect(error is MediaError) }
        }
    }
}
