import Primitives

/// What carries the messages of one call: lines of this process, a room on a server, a place in our own server.
protocol SignalingTransport: Sendable {
    /// In order, bounded; ends when nothing can come any more.
    var inputs: AsyncStream<SignalingInput> { get }
    /// Whether what cannot be read fails a call that does not stand yet. Where anyone may write, it does not.
    var isStrict: Bool { get }
    /// How long the other side's place is kept where it went away without a goodbye: so long it may come back to a
    /// connection that it closed, as a page does that is loaded anew.
    var returnPatience: TimeDelta { get }
    /// When it came to stand.
    var phases: [SignalingPhase: Instant] { get }
    /// Says something to the other side, in order, from any thread. Never blocks.
    func send(_ message: SignalingMessage)
    /// Says goodbye and gives up the place. What was said before is on its way when it returns.
    func end() async
}

extension SignalingTransport {
    var phases: [SignalingPhase: Instant] { [:] }
    var returnPatience: TimeDelta { .zero }
}

/// A room keeps a place for ten seconds (Docs/signaling.md); the word that it is given up takes a moment more.
let roomReturnPatience = TimeDelta.seconds(12)

/// What comes over signalling.
enum SignalingInput: Sendable {
    case message(SignalingMessage)
    case malformed(SignalingError)
    /// The other side is there. `offers` and `polite` speak of us; `isBack` tells that it only was away for a moment.
    case peerPresent(offers: Bool, polite: Bool, isBack: Bool)
    /// The other side gave up its place (`left`), or did not come back (`timeout`).
    case peerLeft(reason: String)
    /// Signalling is over. With an error a call that does not stand yet has failed.
    case ended(CallSetupError?)
}

/// How signalling stands, for whoever waits for the call.
struct SignalingProgress: Sendable {
    /// When the other side was there first.
    var peerCame: Instant?
    /// The other side hung up or left.
    var isOver = false
    /// See `SignalingTransport.returnPatience`.
    var returnPatience = TimeDelta.zero
    /// Somebody may yet say what to send next: the end of the source is not the call's.
    var awaitsCommands = false
    var failure: CallSetupError?
}
