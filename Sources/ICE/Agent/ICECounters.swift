/// Datagrams an agent has seen, by their fate.
public struct ICECounters: Hashable, Sendable {
    public var requestsSent = 0
    public var responsesReceived = 0
    /// Authenticated requests.
    public var requestsReceived = 0
    public var responsesSent = 0
    public var indicationsReceived = 0
    /// Wrong or missing MESSAGE-INTEGRITY, or a user name that is not ours.
    public var unauthenticated = 0
    public var malformed = 0
    /// Responses to nothing we remember asking.
    public var unmatchedResponses = 0
    public var unreachable = 0
    public init() {}
}
