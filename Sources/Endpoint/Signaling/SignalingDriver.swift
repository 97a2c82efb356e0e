import Foundation
import Locks
import Peer
import PeerIO
import Primitives
import SDP

/// Between a signalling transport and a connection: descriptions and candidates both ways, for as long as the call goes on.
///
/// One task takes everything in order: what comes over signalling, what the connection wants said, what time brings. So a
/// description of ours is written before the candidates that belong to it, and no two exchanges mix.
///
/// Either side may offer at any time; glare is solved by `PerfectNegotiation`, whose polite side is told by signalling. An
/// offer of ours that gave way is made again when the other exchange is over. After each agreement the media follow: a
/// recording takes what new sections bring, what is sent is made for the sections that are there. An offer that cannot be
/// agreed on fails a call that does not stand yet; one that does stand goes on as it was.
///
/// Candidates that come before their description wait, two hundred at most. Ours wait for our first description.
///
/// When the pair is lost and stays so for a while, or the other side is silent for long, an ICE restart is offered: one,
/// until it is answered or the exchange under way is over. Both sides may do so at once; the polite one's gives way, and
/// having new credentials then it wants no other.
///
/// What was said last may have been lost with a connection that broke unnoticed. When the other side is back, or we are, an
/// offer without an answer is said again, and the candidates of our last description are; a second copy does no harm.
final class SignalingDriver: Sendable {
    private let connection: PeerConnection
    private let side: LivePeer
    private let transport: any SignalingTransport
    private let media: MediaFollower
    private let reporter: any CallReporter
    private let clock: @Sendable () -> Instant
    private let state = Locked(State())
    private let work: AsyncStream<Work>
    private let workContinuation: AsyncStream<Work>.Continuation

    private enum Work: Sendable {
        case input(SignalingInput)
        case signal(PeerEvent)
        /// The pair has been lost for a while.
        case lost
        case inputEnded
        case command(CallCommand, CheckedContinuation<CallSetupError?, Never>)
    }

    private struct State {
        var progress = SignalingProgress()
        var phases: [SignalingPhase: Instant] = [:]
        var isPolite = true
        /// An offer of ours could not be made, or gave way: it is due when the exchange under way is over.
        var owesOffer = false
        var hasRemoteDescription = false
        var isDescribed = false
        var early: [SignalingMessage] = []
        var unsent: [SignalingMessage] = []
        /// Our last description and the candidates that followed it.
        var said: [SignalingMessage] = []
        /// Whether the loss of the pair is being watched already.
        var isWatching = false
        var wishes = CallWishes()
    }

    private static let maximumEarlyCandidates = 200
    /// How long a lost pair may come back by itself before a restart is offered.
    private static let patience = Duration.seconds(2)

    init(
        connection: PeerConnection, side: LivePeer, transport: any SignalingTransport, media: MediaFollower,
        reporter: any CallReporter, clock: @escaping @Sendable () -> Instant
    ) {
        self.connection = connection
        self.side = side
        self.transport = transport
        self.media = media
        self.reporter = reporter
        self.clock = clock
        state.withLock { $0.progress.returnPatience = transport.returnPatience }
        (work, workContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(4_096))
    }

    var progress: SignalingProgress { state.withLock { $0.progress } }
    var phases: [SignalingPhase: Instant] { state.withLock { $0.phases } }

    func start() -> [Task<Void, Never>] {
        [
            Task { [self] in
                for await input in transport.inputs { workContinuation.yield(.input(input)) }
                // A task that was told to end has not seen the end of the input.
                if !Task.isCancelled { workContinuation.yield(.inputEnded) }
            },
            Task { [self] in for await signal in side.signals { workContinuation.yield(.signal(signal)) } },
            Task { [self] in for await work in work { await perform(work) } },
        ]
    }

    private func perform(_ work: Work) async {
        do {
            switch work {
            case .input(let input): try await take(input)
            case .signal(let signal): try await take(signal)
            case .lost: try await lost()
            case .inputEnded: inputEnded()
            case .command(let command, let done): done.resume(returning: await carryOut(command))
            }
        } catch let error as CallSetupError {
            await failed(error)
        } catch {
            await failed(CallSetupError("signalling: \(error)", status: .signaling))
        }
    }

    // MARK: In

    private func take(_ input: SignalingInput) async throws {
        switch input {
        case .peerPresent(let offers, let polite, let isBack):
            note(.peerPresent)
            state.withLock { state in
                state.progress.peerCame = state.progress.peerCame ?? clock()
                state.isPolite = polite
            }
            if isBack, side.journal.wasClosedByPeer {
                try await offerAnew()
            } else if offers, !isBack {
                try await offerIfDue()
            } else {
                await sayAgain()
            }
        case .message(let message): try await take(message)
        case .malformed(let error):
            guard transport.isStrict, !side.journal.wasConnected else {
                return reporter.log(.error, "signalling: \(error)")
            }
            throw error
        case .peerLeft(let reason):
            // Media go on without signalling, and a path that is lost may come back: only who left on purpose has hung up.
            if reason == "timeout", side.journal.wasConnected {
                return reporter.log(.info, "the other side's signalling is gone; the call goes on")
            }
            over("the other side left before the call stood (\(reason))")
        case .ended(let error?):
            guard side.journal.wasConnected else { throw error }
            reporter.log(.error, "\(error); the call goes on without signalling")
        case .ended(nil): break
        }
    }

    private func take(_ message: SignalingMessage) async throws {
        state.withLock { $0.progress.peerCame = $0.progress.peerCame ?? clock() }
        switch message {
        case .offer(let sdp): try await take(try parse(sdp, "offer"), .offer)
        case .answer(let sdp):
            try await take(try parse(sdp, "answer"), .answer)
        case .candidate, .endOfCandidates:
            let keeps = state.withLock { state in
                guard !state.hasRemoteDescription else { return false }
                if state.early.count < Self.maximumEarlyCandidates { state.early.append(message) }
                return true
            }
            if !keeps { await apply(message) }
        case .bye:
            let described = state.withLock { $0.hasRemoteDescription }
            over("the other side hung up before \(described ? "the call stood" : "its description came")")
        }
    }

    private func take(_ description: SessionDescription, _ type: DescriptionType) async throws {
        let isGlare = type == .offer ? await connection.signalingState == .haveLocalOffer : false
        let isPolite = state.withLock { $0.isPolite }
        if type == .offer { try await bringBack(offeredIn: description) }
        note(type == .offer ? .offered : .answered)
        switch try await connection.receive(description, type: type, isPolite: isPolite) {
        case .answered(let answer):
            if isGlare { state.withLock { $0.owesOffer = true } }
            // The source and the recording are opened before the answer leaves: what fails here fails before media flows.
            try await agreed()
            note(.answered)
            describe(.answer(answer.serialized))
        case .set: try await agreed()
        case .ignored(let reason):
            // In a room it may be the second copy of one that was thought lost.
            guard type == .offer || side.journal.wasConnected || !transport.isStrict else {
                throw CallSetupError("an answer came without an offer of ours", status: .signaling)
            }
            reporter.log(.debug, "signalling: passed over: \(reason)")
        }
    }

    /// A kind that the other side took out of the call has no transceiver any more. Where its offer brings the kind again,
    /// ours goes along as before, like a track that is added again (RFC 9429 §5.10).
    private func bringBack(offeredIn offer: SessionDescription) async throws {
        let present = await connection.transceivers.map(\.kind)
        let removed = state.withLock { $0.wishes.removed }
        for kind in media.kinds where !present.contains(kind) && !removed.contains(kind) {
            guard offer.media.contains(where: { $0.kind == kind && !$0.isRejected }) else { continue }
            try await connection.addTransceiver(kind, direction: .sendReceive)
        }
    }

    private func agreed() async throws {
        state.withLock { $0.hasRemoteDescription = true }
        try await media.follow(await connection.sections())
        let early = state.withLock { state in
            defer { state.early = [] }
            return state.early
        }
        for message in early { await apply(message) }
    }

    private func apply(_ message: SignalingMessage) async {
        switch message {
        case .candidate(let text, let mid, let index):
            do {
                var tolerated: [CandidateTolerance] = []
                let candidate = try CandidateAttribute(tolerating: text, tolerated: &tolerated)
                for what in tolerated { reporter.log(.debug, "signalling: candidate: passed over \(what)") }
                await connection.addRemoteCandidate(candidate, mid: mid, mediaIndex: index)
            } catch {
                // One bad candidate is not the end of a call that others may make.
                reporter.log(.error, "signalling: candidate not used: \(error)")
            }
        case .endOfCandidates: await connection.endOfRemoteCandidates()
        default: break
        }
    }

    private func parse(_ sdp: String, _ type: String) throws -> SessionDescription {
        do {
            return try SessionDescription(parsing: sdp)
        } catch {
            throw CallSetupError("the \(type) is malformed: \(error)", status: .signaling)
        }
    }

    // MARK: Out

    private func offerIfDue() async throws {
        guard await connection.signalingState == .stable, !side.journal.isUp else { return await sayAgain() }
        let offer = try await connection.offer()
        // The recording stands before the other side can send anything; what is sent waits for the agreed codec.
        try media.prepareRecording(await connection.offeredSections())
        note(.offered)
        describe(.offer(offer.serialized))
    }

    /// The other side is back with nothing of what stood, like a page that was loaded anew. Its answer names another
    /// certificate, and a new association takes the place of the one it closed (RFC 8842 §5.2).
    private func offerAnew() async throws {
        guard await connection.signalingState == .stable else { return }
        reporter.log(.info, "the other side is back; the call is offered to it anew")
        describe(.offer(try await connection.offer(iceRestart: true).serialized))
    }

    /// Says again what may have been lost. An answer is not: who misses it says its offer again.
    private func sayAgain() async {
        let isOffered = await connection.signalingState == .haveLocalOffer
        for message in state.withLock({ $0.said }) {
            switch message {
            case .offer: if isOffered { transport.send(message) }
            case .answer: break
            default: transport.send(message)
            }
        }
    }

    /// The pair is still lost after a while, or not. Looks again as long as an exchange is under way.
    private func lost() async throws {
        state.withLock { $0.isWatching = false }
        guard !side.journal.isUp, side.journal.isWithoutPath else { return }
        guard await connection.signalingState == .stable else { return watch() }
        try await restart()
    }

    private func watch() {
        let isFirst = state.withLock { state in
            defer { state.isWatching = true }
            return !state.isWatching
        }
        guard isFirst else { return }
        Task { [workContinuation] in
            try? await Task.sleep(for: Self.patience)
            workContinuation.yield(.lost)
        }
    }

    // MARK: What is asked for while the call goes on

    /// Carries a command out, after what is under way.
    /// - Returns: why it could not be.
    func take(_ command: CallCommand) async -> CallSetupError? {
        await withCheckedContinuation { continuation in
            guard case .enqueued = workContinuation.yield(.command(command, continuation)) else {
                return continuation.resume(returning: CallSetupError("the call is at its end", status: .signaling))
            }
        }
    }

    private func carryOut(_ command: CallCommand) async -> CallSetupError? {
        var wishes = state.withLock { $0.wishes }
        defer { state.withLock { [wishes] in $0.wishes = wishes } }
        do {
            try await wishes.carryOut(command, on: connection, of: side, media: media)
            return nil
        } catch let error as CallSetupError {
            return error
        } catch {
            return CallSetupError("\(error)", status: .signaling)
        }
    }

    private func restart() async throws {
        // One at a time: an offer that is out is answered first.
        guard side.journal.wasConnected, await connection.signalingState == .stable else { return }
        reporter.log(.info, "the other side is not heard; an ICE restart is offered")
        await connection.restartICE()
        try await offerWhatIsOwed()
    }

    /// Offers again, where an offer of ours is due and may leave.
    private func offerWhatIsOwed() async throws {
        // Before the call stands, signalling says who offers; but an offer that gave way is made again.
        guard side.journal.wasConnected || state.withLock({ $0.owesOffer }),
            let offer = try await connection.offerIfNeeded()
        else { return }
        state.withLock { $0.owesOffer = false }
        describe(.offer(offer.serialized))
    }

    private func take(_ signal: PeerEvent) async throws {
        switch signal {
        case .localCandidate(let candidate, let mid, let index):
            trickle(.candidate(candidate.description, sdpMid: mid, sdpMLineIndex: index))
        case .gatheringComplete: trickle(.endOfCandidates)
        case .negotiationNeeded: try await offerWhatIsOwed()
        case .restartWanted: try await restart()
        case .connectionStateChanged(.disconnected): watch()
        default: break
        }
    }

    /// Candidates belong after the description (RFC 8838 §4).
    private func trickle(_ message: SignalingMessage) {
        let sends = state.withLock { state in
            if state.isDescribed, state.said.count <= Self.maximumEarlyCandidates { state.said.append(message) }
            if !state.isDescribed, state.unsent.count < Self.maximumEarlyCandidates { state.unsent.append(message) }
            return state.isDescribed
        }
        if sends { transport.send(message) }
    }

    private func describe(_ description: SignalingMessage) {
        transport.send(description)
        let unsent = state.withLock { state in
            state.isDescribed = true
            defer { state.unsent = [] }
            state.said = [description] + state.unsent
            return state.unsent
        }
        for message in unsent { transport.send(message) }
    }

    // MARK: The end

    private func over(_ early: String) {
        guard side.journal.wasConnected else { return fail(CallSetupError(early, status: .signaling)) }
        state.withLock { $0.progress.isOver = true }
    }

    /// What went wrong fails a call that does not stand yet. One that stands goes on with what was agreed before.
    private func failed(_ error: CallSetupError) async {
        guard side.journal.wasConnected else { return fail(error) }
        reporter.log(.error, "\(error); the call goes on as it was")
        if await connection.signalingState == .haveRemoteOffer { try? await connection.rollback() }
    }

    private func fail(_ error: CallSetupError) {
        state.withLock { $0.progress.failure = $0.progress.failure ?? error }
    }

    private func inputEnded() {
        guard !side.journal.wasConnected, !state.withLock({ $0.hasRemoteDescription }) else { return }
        fail(
            CallSetupError(
                "signalling ended before the other side's description came; is the other process running?",
                status: .signaling))
    }

    private func note(_ phase: SignalingPhase) {
        let now = clock()
        state.withLock { if $0.phases[phase] == nil { $0.phases[phase] = now } }
    }
}

/// The steps of signalling a call goes through, for the report.
enum SignalingPhase: String, Sendable, CaseIterable {
    /// The WebSocket is open.
    case connected
    /// We have a place in the room.
    case joined
    /// The other side is there.
    case peerPresent
    /// The first offer was made, or came.
    case offered
    case answered
}
