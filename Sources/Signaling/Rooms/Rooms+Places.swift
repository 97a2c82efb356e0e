import Primitives

/// Taking, resuming and giving up places; passing messages on.
extension Rooms {
    mutating func join(
        _ id: ConnectionID, session: String?, name: String?, at now: Instant, into out: inout [Output]
    ) {
        guard let roomName = connections[id]?.room else { return }
        if let session { return resume(id, in: roomName, session: session, at: now, into: &out) }
        if rooms[roomName] == nil {
            guard rooms.count < limits.rooms else {
                return refuse(id, .tooManyRooms, "\(limits.rooms) rooms are in use", at: now, into: &out)
            }
            rooms[roomName] = Room(name: roomName)
            if hasResidents { admitResident(to: roomName, at: now, into: &out) }
        }
        guard let room = rooms[roomName], room.members.count < Room.places else {
            return refuse(id, .roomFull, "two are in the room \(roomName) already", at: now, into: &out)
        }
        let isSecond = !room.members.isEmpty
        place(id, in: roomName, name: name, polite: isSecond, offers: isSecond, into: &out)
        guard let other = room.members.first, let me = rooms[roomName]?.members.last else { return }
        deliver(
            ServerMessage.peerJoined(.init(peer: me.peer, polite: other.polite, offers: false)).text, to: other.id,
            in: roomName, at: now, into: &out)
    }

    private mutating func place(
        _ id: ConnectionID, in roomName: String, name: String?, polite: Bool, offers: Bool, isResident: Bool = false,
        into out: inout [Output]
    ) {
        guard let memberID = rooms[roomName]?.makeID() else { return }
        let others = rooms[roomName]?.members.map(\.peer) ?? []
        let member = Member(
            id: memberID, session: random.bytes(16).hexadecimal, name: name, polite: polite, isResident: isResident,
            connection: id)
        // Whoever stays from an earlier pair is the first now.
        if polite, let index = rooms[roomName]?.members.indices.first { rooms[roomName]?.members[index].polite = false }
        rooms[roomName]?.members.append(member)
        connections[id]?.member = memberID
        connections[id]?.joinBy = nil
        out.append(
            .send(
                id,
                ServerMessage.joined(
                    .init(
                        room: roomName, id: memberID, session: member.session, polite: polite, offers: offers,
                        peers: others)
                ).text))
    }

    private mutating func admitResident(to roomName: String, at now: Instant, into out: inout [Output]) {
        let id = ConnectionID(nextResident)
        nextResident &-= 1
        connected(id, room: roomName, at: now)
        out.append(.resident(room: roomName, id))
        let isAlone = rooms[roomName]?.members.isEmpty ?? true
        place(id, in: roomName, name: "Postern", polite: false, offers: false, isResident: true, into: &out)
        guard !isAlone, let resident = rooms[roomName]?.members.last, let guest = rooms[roomName]?.members.first else {
            return
        }
        rooms[roomName]?.members[0].polite = true
        deliver(
            ServerMessage.peerJoined(.init(peer: resident.peer, polite: true, offers: false)).text, to: guest.id,
            in: roomName, at: now, into: &out)
    }

    private mutating func resume(
        _ id: ConnectionID, in roomName: String, session: String, at now: Instant, into out: inout [Output]
    ) {
        guard
            let index = rooms[roomName]?.members.firstIndex(where: {
                !$0.isResident && isEqualInConstantTime($0.session, session)
            }),
            let member = rooms[roomName]?.members[index]
        else {
            return refuse(
                id, .unknownSession, "that place is gone; join without a session", at: now, into: &out)
        }
        if let old = member.connection {
            tell(old, .replaced, "your session connected again elsewhere", isFatal: true, into: &out)
            close(old, .policyViolation, into: &out)
        }
        rooms[roomName]?.members[index].connection = id
        rooms[roomName]?.members[index].heldUntil = nil
        rooms[roomName]?.members[index].waiting = []
        rooms[roomName]?.members[index].waitingBytes = 0
        connections[id]?.member = member.id
        connections[id]?.joinBy = nil
        let other = rooms[roomName]?.index(besides: member.id).flatMap { rooms[roomName]?.members[$0] }
        out.append(
            .send(
                id,
                ServerMessage.joined(
                    .init(
                        room: roomName, id: member.id, session: member.session, resumed: true, polite: member.polite,
                        offers: false, peers: other.map { [$0.peer] } ?? [])
                ).text))
        for text in member.waiting { out.append(.send(id, text)) }
        guard let other else { return }
        deliver(
            ServerMessage.peerJoined(
                .init(peer: member.peer, polite: other.polite, offers: false, resumed: true)
            ).text, to: other.id, in: roomName, at: now, into: &out)
    }

    mutating func relay(
        _ text: String, _ kind: ClientMessage.Relayed, from id: ConnectionID, at now: Instant, into out: inout [Output]
    ) {
        guard let connection = connections[id], let me = connection.member else {
            return refuseUnjoined(id, at: now, into: &out)
        }
        let roomName = connection.room
        if hasResidents, kind == .offer, rooms[roomName]?.index(besides: me) == nil {
            admitResident(to: roomName, at: now, into: &out)
        }
        guard let index = rooms[roomName]?.index(besides: me), let other = rooms[roomName]?.members[index] else {
            return
        }
        relayedMessages &+= 1
        deliver(text, to: other.id, in: roomName, at: now, into: &out)
    }

    /// Sends, or keeps for one who is away.
    private mutating func deliver(
        _ text: String, to memberID: Member.ID, in roomName: String, at now: Instant, into out: inout [Output]
    ) {
        guard let index = rooms[roomName]?.index(of: memberID), let member = rooms[roomName]?.members[index] else {
            return
        }
        if let connection = member.connection {
            out.append(.send(connection, text))
            return
        }
        guard member.waiting.count < limits.waitingMessages,
            member.waitingBytes + text.utf8.count <= limits.waitingBytes
        else { return remove(memberID, from: roomName, reason: "timeout", at: now, into: &out) }
        rooms[roomName]?.members[index].waiting.append(text)
        rooms[roomName]?.members[index].waitingBytes += text.utf8.count
    }

    // MARK: Giving up

    /// Takes the place of a connection away; the connection itself stays.
    mutating func giveUp(_ id: ConnectionID, reason: String, at now: Instant, into out: inout [Output]) {
        guard let connection = connections[id], let member = connection.member else { return }
        connections[id]?.member = nil
        remove(member, from: connection.room, reason: reason, at: now, into: &out)
    }

    mutating func remove(
        _ memberID: Member.ID, from roomName: String, reason: String, at now: Instant, into out: inout [Output]
    ) {
        guard let index = rooms[roomName]?.index(of: memberID) else { return }
        rooms[roomName]?.members.remove(at: index)
        for other in rooms[roomName]?.members ?? [] {
            if let connection = other.connection {
                out.append(.send(connection, ServerMessage.peerLeft(id: memberID, reason: reason).text))
            } else if !other.waiting.isEmpty {
                // What waits came from one who is gone; only that it is gone is still true.
                if let place = rooms[roomName]?.index(of: other.id) {
                    rooms[roomName]?.members[place].waiting = [
                        ServerMessage.peerLeft(id: memberID, reason: reason).text
                    ]
                    rooms[roomName]?.members[place].waitingBytes = 0
                }
            } else if let place = rooms[roomName]?.index(of: other.id) {
                rooms[roomName]?.members[place].waiting = [ServerMessage.peerLeft(id: memberID, reason: reason).text]
            }
        }
        guard rooms[roomName]?.isDeserted ?? true else { return }
        for resident in rooms[roomName]?.members ?? [] {
            if let connection = resident.connection { close(connection, .normal, into: &out) }
        }
        rooms[roomName] = nil
    }

    func isResident(_ id: ConnectionID) -> Bool {
        guard let connection = connections[id], let member = connection.member,
            let index = rooms[connection.room]?.index(of: member)
        else { return false }
        return rooms[connection.room]?.members[index].isResident ?? false
    }
}

/// Whether two secrets are the same, in a time that depends on their lengths alone.
func isEqualInConstantTime(_ a: String, _ b: String) -> Bool {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    var difference = a.count ^ b.count
    for index in 0..<b.count { difference |= Int(b[index] ^ (a.isEmpty ? 0 : a[index % a.count])) }
    return difference == 0
}
