import Primitives

/// What carries the messages of one call: lines of this process, a room on a server, a place in our own server.
protocol SignalingTransport: Sendable {
    /// In order, bounded; ends when nothing can come any more.
    var inputs: AsyncStream<SignalingInput> { get }
    /// Whether what cannot be read fails a call that does not stand yet. Where anyone may write, it does not.
    var isStrict: Bool { get }
    /// When it came to stand.
    var phases: [SignalingPhase: Instant] { get }
    /// Says something to the other side, in order, from any thread. Never blocks.
    func send(_ message: SignalingMessage)
    /// Says goodbye and gives up the place. What was said before is on its way when it returns.
    func end() async
}

extension SignalingTransport {
    var phases: [SignalingPhase: Instant] { [:] }
}

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
    var failure: CallSetupError?
}
