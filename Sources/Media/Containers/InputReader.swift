import Primitives

/// Hands out the packets of a container by track, again and again where it loops.
///
/// Packets come in file order; those of the track that is not asked for wait in a queue, bounded in count and bytes. At the
/// end of the file each queue gets an end mark; when looping, the file is then opened again and the times of the
/// next pass are moved by the length of the ones before. Opening again, not seeking: after a seek, several formats give
/// other first packets than after opening.
///
/// The length of a pass is what the container says of its tracks, or where it does not say or is wrong the end of the
/// last packet of either, whether the track is wanted or not, and time zero is the earlier start of both; so two readers
/// of one file that want different tracks agree on both.
///
/// A file that breaks off gives what it has; the error comes after the last packet, in place of the end.
final class InputReader {
    enum Item {
        /// A packet, what to add to its times to get media time, and the media time at which its pass began.
        case packet(InputPacket, shift: TimeDelta, passStart: TimeDelta)
        case endOfPass
    }

    let path: String
    let audio: InputContainer.Stream?
    let video: InputContainer.Stream?
    private(set) var container: InputContainer
    private let format: InputFormat?
    private let loops: Bool
    private var queues: [MediaKind: BoundedQueue<Item>] = [:]
    private var waitingBytes = 0
    private var isEnded = false
    /// Why the input ended too soon.
    private var failure: MediaError?
    private var isClosed = false
    /// What is added to the container's times in this pass.
    private var shift: TimeDelta = .zero
    private var zero: TimeDelta?
    /// What of the sound's first packet is not presented: the codec's delay.
    private(set) var audioDelay: TimeDelta = .zero
    /// Where the last packets of this pass end, in the container's times.
    private var ends: [MediaKind: TimeDelta] = [:]
    private var packetsInPass = 0
    /// Packets read before time zero was known.
    private var primed: [InputPacket] = []

    private static let longestQueue = 65_536
    private static let mostWaitingBytes = 256 << 20

    init(path: String, options: SourceOptions) throws(MediaError) {
        self.path = path
        do throws(MediaError) {
            format = try options.inputFormat.map { text throws(MediaError) in try InputFormat(parsing: text) }
        } catch {
            throw MediaError(error.kind, path: path, error.message, advice: error.advice)
        }
        loops = options.loop
        container = try InputContainer(path: path, format: format, mustRepeat: options.loop)
        audio = options.tracks.contains(.audio) ? container.audio : nil
        video = options.tracks.contains(.video) ? container.video : nil
        guard audio != nil || video != nil else {
            let found = [container.audio, container.video].compactMap { $0?.kind.rawValue }
            let wanted = options.tracks.map(\.rawValue).sorted().joined(separator: " nor ")
            throw MediaError(
                .noUsableTrack, path: path,
                found.isEmpty ? "there is neither audio nor video in it." : "there is no \(wanted) in it.",
                advice: found.isEmpty ? "" : "It holds \(found.joined(separator: " and ")).")
        }
        for kind in [audio, video].compactMap({ $0?.kind }) {
            queues[kind] = BoundedQueue(capacity: InputReader.longestQueue)
        }
        try prime()
    }

    /// The next item of a track, `nil` once the input is at its end for good.
    func next(_ kind: MediaKind) throws(MediaError) -> Item? {
        while true {
            if let item = queues[kind]?.popFirst() {
                if case .packet(let packet, _, _) = item { waitingBytes -= packet.count }
                return item
            }
            if let failure, !isClosed { throw failure }
            guard !isEnded, !isClosed, queues[kind] != nil else { return nil }
            try readOne()
        }
    }

    func close() {
        isClosed = true
        queues = [:]
        primed = []
        container.close()
    }

    /// Reads until the first packet of each stream is known, and takes time zero from the earlier one: from what is
    /// presented of it, without the codec's delay.
    private func prime() throws(MediaError) {
        var starts: [MediaKind: TimeDelta] = [:]
        let streams = [container.audio, container.video].compactMap { $0 }.count
        var bytes = 0
        while starts.count < streams, primed.count < 2_000, bytes < 32 << 20, let packet = try container.read() {
            if starts[packet.kind] == nil, !packet.isHidden {
                let delay = packet.kind == .audio ? container.audio?.delay ?? .zero : .zero
                let unheard = packet.skipped > .zero ? packet.skipped : delay
                if packet.kind == .audio { audioDelay = unheard }
                starts[packet.kind] = (packet.time ?? .zero) + unheard
            }
            bytes += packet.count
            primed.append(packet)
        }
        zero = starts.values.min()
        shift = -(zero ?? .zero)
        primed.reverse()
    }

    private func readOne() throws(MediaError) {
        var fresh = primed.popLast()
        if fresh == nil {
            do throws(MediaError) {
                fresh = try container.read()
            } catch {
                return end(failure: error)
            }
        }
        guard let packet = fresh else { return endPass() }
        packetsInPass += 1
        if let time = packet.time {
            var length = packet.duration
            let rate = container.video?.frameRate ?? 0
            if length == .zero, packet.kind == .video, rate > 0 { length = .seconds(1 / rate) }
            ends[packet.kind] = Swift.max(ends[packet.kind] ?? time, time + length)
        }
        guard let queue = queues[packet.kind] else { return }
        guard !queue.isFull, waitingBytes + packet.count <= InputReader.mostWaitingBytes else {
            throw MediaError(
                .corrupt, path: path, "its audio and video lie too far apart to be read together.",
                advice: "Remux the file, or send one of the tracks alone.")
        }
        waitingBytes += packet.count
        queues[packet.kind]?.append(.packet(packet, shift: shift, passStart: shift + (zero ?? .zero)))
    }

    private func end(failure: MediaError?) {
        for kind in queues.keys { queues[kind]?.append(.endOfPass) }
        isEnded = true
        self.failure = failure
    }

    private func endPass() {
        let zero = zero ?? .zero
        let measured = (ends.values.max() ?? zero) - zero
        let stated = container.statedEnd.map { $0 - zero }
        if container.isSeekable, let stated, measured + Swift.max(.milliseconds(1_000), stated / 50) < stated {
            return end(
                failure: MediaError(
                    .truncated, path: path,
                    "the file breaks off at \(measured.milliseconds) of \(stated.milliseconds) ms.",
                    advice: "It is damaged or was not copied to its end.", details: FFmpegLog.lines()))
        }
        guard loops else { return end(failure: nil) }
        guard packetsInPass > 0, measured > .zero else {
            return end(
                failure: MediaError(
                    .notRepeatable, path: path, "its length is not known, so that it cannot be looped."))
        }
        let isClose = stated.map { abs(($0 - measured).milliseconds) < 100 } ?? false
        shift += isClose ? stated ?? measured : measured
        ends = [:]
        packetsInPass = 0
        container.close()
        do throws(MediaError) {
            container = try InputContainer(path: path, format: format, isReopened: true)
        } catch {
            return end(failure: error)
        }
        for kind in queues.keys { queues[kind]?.append(.endOfPass) }
    }
}
