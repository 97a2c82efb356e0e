import Primitives

/// Errors told to a peer.
extension Rooms {
    mutating func refuse(
        _ id: ConnectionID, _ code: ServerMessage.ErrorCode, _ message: String, closing: CloseCode = .policyViolation,
        at now: Instant, into out: inout [Output]
    ) {
        guard connections[id] != nil else { return }
        tell(id, code, message, isFatal: true, into: &out)
        giveUp(id, reason: "error", at: now, into: &out)
        close(id, closing, into: &out)
    }

    mutating func refuseUnjoined(_ id: ConnectionID, at now: Instant, into out: inout [Output]) {
        refuse(id, .notJoined, "say join first", at: now, into: &out)
    }

    mutating func refuseSize(of id: ConnectionID, at now: Instant, into out: inout [Output]) {
        refuse(
            id, .tooLarge, "a message has \(limits.messageBytes) bytes at most", closing: .messageTooBig, at: now,
            into: &out)
    }

    mutating func noteMalformed(_ id: ConnectionID, _ error: MessageError, at now: Instant, into out: inout [Output]) {
        guard let connection = connections[id] else { return }
        guard connection.member != nil else { return refuseUnjoined(id, at: now, into: &out) }
        connections[id]?.malformed += 1
        guard connection.malformed + 1 < limits.malformed else {
            return refuse(id, .malformed, "\(error), for the \(limits.malformed)th time", at: now, into: &out)
        }
        tell(id, .malformed, "\(error)", isFatal: false, into: &out)
    }

    mutating func tell(
        _ id: ConnectionID, _ code: ServerMessage.ErrorCode, _ message: String, isFatal: Bool, into out: inout [Output]
    ) {
        refusals[code, default: 0] += 1
        out.append(.send(id, ServerMessage.error(code: code, message: message, fatal: isFatal).text))
    }

    mutating func close(_ id: ConnectionID, _ code: CloseCode, into out: inout [Output]) {
        connections[id] = nil
        out.append(.close(id, code))
    }
}
