import Signaling

/// What the server of rooms says, as input of a call. The same for a place over the network and one in this process.
struct RoomDialogue {
    /// What takes up the place again; a secret.
    private(set) var session: String?
    private(set) var isJoined = false
    private(set) var isPeerPresent = false

    /// What one message of the server means.
    enum Event {
        case input(SignalingInput)
        /// We have a place; `resumed` tells that it is the old one.
        case joined(resumed: Bool)
        case note(String)
        case refused(ServerMessage.ErrorCode, String)
    }

    mutating func take(_ text: String) -> [Event] {
        let message: ServerMessage
        do {
            message = try ServerMessage(parsing: text)
        } catch {
            return [.input(.malformed(SignalingError("from the server: \(error)")))]
        }
        switch message {
        case .joined(let joined):
            session = joined.session
            isJoined = true
            let wasPresent = isPeerPresent
            isPeerPresent = !joined.peers.isEmpty
            var events = [Event.joined(resumed: joined.resumed)]
            if isPeerPresent {
                events.append(
                    .input(
                        .peerPresent(offers: joined.offers, polite: joined.polite, isBack: joined.resumed && wasPresent)
                    ))
            }
            return events
        case .peerJoined(let joined):
            isPeerPresent = true
            return [.input(.peerPresent(offers: joined.offers, polite: joined.polite, isBack: joined.resumed))]
        case .peerLeft(_, let reason):
            isPeerPresent = false
            return [.input(.peerLeft(reason: reason))]
        case .error(_, let message, fatal: false): return [.note("the server says: \(message)")]
        case .error(let code, let message, fatal: true): return [.refused(code, message)]
        case .relayed(let text):
            do {
                return [.input(.message(try SignalingMessage(parsing: text)))]
            } catch {
                return [.input(.malformed(error))]
            }
        }
    }

    /// The place is gone: join as a newcomer.
    mutating func forgetSession() { session = nil }
    mutating func connectionBroke() { isJoined = false }
}
