import Locks
import Media
import PeerIO
import Primitives

/// Makes what is recorded and what is sent follow the sections that were agreed, again after each exchange.
///
/// The recording is made when something may come for the first time and takes what later sections bring, by kind. A kind
/// of the source gets its publisher when a section takes it; one that is held goes on unheard, so that its clock does
/// not stop, and sends a keyframe when it is heard again, on its section or on one that took its place.
///
/// Its methods are called from one task, one after another.
final class MediaFollower: Sendable {
    private let session: CallSession
    private let side: LivePeer
    private let connection: PeerConnection
    private let source: Confined<(any MediaSource)?>
    private let clock: @Sendable () -> Instant
    private let state: Locked<State>

    private struct State {
        /// What the source brings.
        var kinds: [MediaKind]
        var isRecording = false
        /// What each kind is sent as, made already.
        var made: [MediaKind: Sending] = [:]
        /// What the last agreement took.
        var heard: Set<MediaKind> = []
        var isFirst = true
    }

    private struct Sending: Hashable {
        var mid: String
        var codec: Codec?
    }

    init(
        session: CallSession, side: LivePeer, connection: PeerConnection, source: (any MediaSource)?,
        clock: @escaping @Sendable () -> Instant
    ) {
        self.session = session
        self.side = side
        self.connection = connection
        state = Locked(State(kinds: session.kinds(of: source)))
        self.source = Confined(source)
        self.clock = clock
    }

    /// What the source brings.
    var kinds: [MediaKind] { state.withLock { $0.kinds } }

    func follow(_ sections: SectionKinds) async throws {
        try prepareRecording(sections)
        try await publish(sections, of: nil)
    }

    /// Another source takes the place of the one that is sent, from its beginning. Timestamps on the wire go on, and no
    /// exchange is needed for kinds that have their section. What cannot be opened changes nothing.
    func replaceSource(with path: String) async throws {
        let (opened, found) = try open(path)
        let sections = await connection.sections()
        side.removePublishers()
        for mid in sections.sent.values { await connection.replaceSource(mid: mid) }
        state.withLock { state in
            state.kinds = found
            state.made = [:]
        }
        try await publish(sections, of: Confined(opened))
    }

    private func open(_ path: String) throws -> ((any MediaSource)?, [MediaKind]) {
        let former = session.sourcePath.withLock { current in
            defer { current = path }
            return current
        }
        do {
            let opened = try session.openSource()
            let found = session.kinds(of: opened)
            guard found.isEmpty else { return (opened, found) }
            opened?.close()
            throw CallSetupError("--send \(path): there is neither audio nor video in it", status: .mediaInput)
        } catch {
            session.sourcePath.withLock { $0 = former }
            throw error
        }
    }

    /// Ends the call politely.
    func hangUp() { session.interrupt() }

    /// How long the call has stood.
    private var elapsed: TimeDelta {
        side.journal.milestones[.dtlsConnected].map { clock() - $0 } ?? .zero
    }

    func prepareRecording(_ sections: SectionKinds) throws {
        guard !sections.received.isEmpty else { return }
        if state.withLock({ $0.isRecording }) { return side.adopt(received: sections.received) }
        guard let recording = try session.openRecording(kinds: sections.received, allowsMore: true) else { return }
        side.record(into: recording)
        state.withLock { $0.isRecording = true }
    }

    /// - Parameter opened: a new source, opened to learn what it brings.
    private func publish(_ sections: SectionKinds, of opened: Confined<(any MediaSource)?>?) async throws {
        let before = state.withLock { state in
            defer {
                state.heard = Set(sections.sent.keys)
                state.isFirst = false
            }
            return state
        }
        var due: [MediaKind] = []
        for kind in kinds {
            guard let mid = sections.sent[kind] else { continue }
            let sending = Sending(mid: mid, codec: sections.codecs[kind])
            if before.made[kind] == sending {
                if !before.heard.contains(kind) { side.requestKeyframe(mid: mid) }
            } else if before.made[kind]?.codec == sending.codec {
                // Taken out of the call and brought back.
                side.redirect(kind, to: mid)
                state.withLock { $0.made[kind] = sending }
            } else {
                due.append(kind)
            }
        }
        let isNew = before.isFirst || opened != nil
        guard !due.isEmpty || isNew else { return }
        // What is made in place of another begins anew; a pipe cannot.
        let replaced = due.filter { before.made[$0] != nil }
        if !replaced.isEmpty {
            guard try session.mayReplace(side.publishers, for: sections) else { return }
            side.removePublishers()
            due = kinds.filter { sections.sent[$0] != nil }
        }
        let source = opened ?? (before.isFirst ? source : Confined(nil))
        let publishers = try session.makePublishers(
            isNew ? kinds : due, of: source.value, to: sections, connection: connection, elapsed: elapsed, clock: clock)
        for publisher in publishers {
            side.add(publisher)
            await publisher.prepared()
        }
        let made = Dictionary(
            uniqueKeysWithValues: due.map { ($0, Sending(mid: sections.sent[$0] ?? "", codec: sections.codecs[$0])) })
        state.withLock { state in
            if !replaced.isEmpty { state.made = [:] }
            state.made.merge(made) { $1 }
        }
    }
}

/// The sections of a session by what they are for.
struct SectionKinds: Sendable {
    var sent: [MediaKind: String] = [:]
    /// What frames of each sent kind must be encoded as; known once agreed.
    var codecs: [MediaKind: Codec] = [:]
    /// How the other side wants its audio; `nil` before it has said so.
    var audio: AudioSendParameters?
    /// Sections that may bring frames, by MID; of each kind the first.
    var received: [String: MediaKind] = [:]
}

extension PeerConnection {
    /// What an offer of ours would send and receive.
    func offeredSections() -> SectionKinds {
        var kinds = SectionKinds()
        for transceiver in transceivers {
            guard let mid = transceiver.mid else { continue }
            if transceiver.direction.sends { kinds.sent[transceiver.kind] = mid }
            if transceiver.direction.receives, !kinds.received.values.contains(transceiver.kind) {
                kinds.received[mid] = transceiver.kind
            }
        }
        return kinds
    }

    /// What the agreed session sends and receives.
    func sections() -> SectionKinds {
        var kinds = SectionKinds()
        for section in negotiatedSession?.acceptedMedia ?? [] {
            guard let kind = section.kind else { continue }
            if section.direction.sends, kinds.sent[kind] == nil {
                kinds.sent[kind] = section.mid
                kinds.codecs[kind] = section.sendCodecs.first { $0.codec.isMedia }?.codec
                kinds.audio = kinds.audio ?? AudioSendParameters(section)
            }
            if section.direction.receives, !kinds.received.values.contains(kind) {
                kinds.received[section.mid] = kind
            }
        }
        return kinds
    }
}
