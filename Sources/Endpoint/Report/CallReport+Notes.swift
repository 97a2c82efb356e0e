import Peer
import Primitives

extension CallReport {
    /// What a call that may well have gone through has to say of its path all the same: what it cost, and what would help.
    public var notes: [String] {
        var notes: [String] = []
        let pairs = statistics.objects(of: .candidatePair)
        if let note = streamNote(pairs) { notes.append(note) }
        if let note = journal.movingNote { notes.append(note) }
        return notes
    }

    /// That TCP had to do, and what became of UDP.
    private func streamNote(_ pairs: [StatisticsObject]) -> String? {
        guard journal.wasConnected, journal.selectedPair?.local.transport.isTCP == true else { return nil }
        let udp = pairs.filter { pair in
            if case .string(let path)? = pair["path"] { !path.hasPrefix("tcp ") } else { false }
        }
        let sent = Int(udp.reduce(0) { $0 + ($1["requestsSent"]?.asDouble ?? 0) })
        let answered = Int(udp.reduce(0) { $0 + ($1["responsesReceived"]?.asDouble ?? 0) })
        let discarded = Int(pairs.reduce(0) { $0 + ($1["packetsDiscardedOnSend"]?.asDouble ?? 0) })
        var text = "the call went over TCP, where a lost packet delays all that follow"
        text +=
            sent == 0
            ? "; no pair over UDP was tried"
            : "; of \(sent) checks over UDP \(answered) were answered: where UDP can be let through, it is better"
        if discarded > 0 { text += "; \(discarded) packets were dropped because the connection was too slow" }
        return text
    }
}

extension CallJournal {
    /// That the other side came from other addresses in the call (R23 of Docs/boundary.md's requirements): a proxy or NAT gave
    /// it another mapping, or has too few for all.
    var movingNote: String? {
        guard let last = movements.last else { return nil }
        let count = movementCount
        guard count >= Self.thrashing else {
            return "the peer moved \(last.from.remote) -> \(last.to.remote) (proxy mapping changed)"
                + (count > 1 ? ", \(count) times in all" : "")
        }
        return
            "the peer moved \(count) times, last \(last.from.remote) -> \(last.to.remote) (proxy mapping changed): mappings "
            + "are evicted as if the proxy or NAT had fewer than there are flows"
    }

    private static let thrashing = 4
}
