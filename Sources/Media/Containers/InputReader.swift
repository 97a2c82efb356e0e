import Primitives

/// Hands out the packets of a container by track, again and again where it loops.
///
/// Packets come in file order; those of the track that is not asked for wait in a queue, bounded in count and bytes. At the
/// end of the file each queue gets an end mark; when looping, the file is then opened again and the times of the
/// next pass are moved by the length of the ones before. Opening again, not seeking: after a seek, several formats give
/// other first packets than after opening.
///
/// The length of a pass is the end of the last packet of either track, whether the track is wanted or not, and time zero
/// is the earlier start of both; so two readers of one file that want different tracks agree on both.
final class InputReader {
    enum Item {
        /// A packet and what to add to its times to get media time.
        case packet(InputPacket, shift: TimeDelta)
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
    private var isClosed = false
    /// What is added to the container's times in this pass.
    private var shift: TimeDelta = .zero
    private var zero: TimeDelta?
    private var passEnd: TimeDelta?
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
        container = try InputContainer(path: path, format: format)
        guard !loops || container.isSeekable else {
            throw MediaError(
                .notRepeatable, path: path, "only a file can be played in a loop.", advice: "Leave out the loop.")
        }
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
        try prime(presented: !options.passthrough)
    }

    /// The next item of a track, `nil` once the input is at its end for good.
    func next(_ kind: MediaKind) throws(MediaError) -> Item? {
        while true {
            if let item = queues[kind]?.popFirst() {
                if case .packet(let packet, _) = item { waitingBytes -= packet.count }
                return item
            }
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
    /// presented of it (without the codec's delay), or from the packet as it is.
    private func prime(presented: Bool) throws(MediaError) {
        var starts: [MediaKind: TimeDelta] = [:]
        let streams = [container.audio, container.video].compactMap { $0 }.count
        var bytes = 0
        while starts.count < streams, primed.count < 2_000, bytes < 32 << 20, let packet = try container.read() {
            if starts[packet.kind] == nil {
                starts[packet.kind] = (packet.time ?? .zero) + (presented ? packet.skipped : .zero)
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
        if fresh == nil { fresh = try container.read() }
        guard let packet = fresh else { return try endPass() }
        packetsInPass += 1
        if let time = packet.time {
            var length = packet.duration
            let rate = container.video?.frameRate ?? 0
            if length == .zero, packet.kind == .video, rate > 0 { length = .seconds(1 / rate) }
            passEnd = Swift.max(passEnd ?? time, time + length)
        }
        guard let queue = queues[packet.kind] else { return }
        guard !queue.isFull, waitingBytes + packet.count <= InputReader.mostWaitingBytes else {
            throw MediaError(
                .corrupt, path: path, "its audio and video lie too far apart to be read together.",
                advice: "Remux the file, or send one of the tracks alone.")
        }
        waitingBytes += packet.count
        queues[packet.kind]?.append(.packet(packet, shift: shift))
    }

    private func endPass() throws(MediaError) {
        for kind in queues.keys { queues[kind]?.append(.endOfPass) }
        guard loops else {
            isEnded = true
            return
        }
        guard packetsInPass > 0, let zero, let passEnd, passEnd > zero else {
            throw MediaError(.notRepeatable, path: path, "its length is not known, so that it cannot be looped.")
        }
        shift += passEnd - zero
        self.passEnd = nil
        packetsInPass = 0
        container.close()
        container = try InputContainer(path: path, format: format, isReopened: true)
    }
}
