import DTLSSRTP
import ICE
import Peer
import Primitives

/// One sentence on why a call did not do what it should, and the facts behind it. A pure fold over the journal.
public struct Diagnosis: Hashable, Sendable {
    public var sentence: String
    public var facts: [String]
    public var status: ExitStatus

    public init(_ sentence: String, status: ExitStatus, facts: [String] = []) {
        self.sentence = sentence
        self.status = status
        self.facts = facts
    }

    var json: JSONValue {
        .object([.init("sentence", .string(sentence)), .init("facts", .array(facts.map(JSONValue.string)))])
    }
}

extension Diagnosis {
    /// What went wrong, `nil` where nothing did. Looks at the layers from below: the first that failed is the cause.
    ///
    /// - Parameter isRelayOnly: whether only TURN servers could give candidates.
    public init?(of journal: CallJournal, pairs: [StatisticsObject], isRelayOnly: Bool = false) {
        if case .failed(.dtls(let error)) = journal.connectionState {
            self.init(
                "DTLS failed: \(error)", status: .dtls,
                facts: Self.facts(of: journal, pairs: pairs))
            return
        }
        if journal.wasConnected {
            switch journal.connectionState {
            case .failed(let reason):
                self.init(
                    "the call stood and was lost: \(reason)", status: .lost,
                    facts: Self.facts(of: journal, pairs: pairs))
            case .disconnected:
                self.init(
                    "the call stood and was lost: checks on the selected pair went unanswered", status: .lost,
                    facts: Self.facts(of: journal, pairs: pairs))
            default:
                return nil
            }
            return
        }
        if case .failed(.negotiation(let reason)) = journal.connectionState {
            self.init("no agreement: \(reason)", status: .signaling)
            return
        }
        guard journal.milestones[.bothDescriptionsKnown] != nil || (isRelayOnly && journal.hasGatheredNothing) else {
            self.init(
                "the other side's description never came: nothing could be tried", status: .signaling,
                facts: Self.facts(of: journal, pairs: pairs))
            return
        }
        if journal.milestones[.iceConnected] != nil {
            self.init(
                "ICE connected, but DTLS did not complete in time", status: .dtls,
                facts: Self.facts(of: journal, pairs: pairs))
            return
        }
        self.init(Self.iceSentence(journal, pairs: pairs), status: .ice, facts: Self.facts(of: journal, pairs: pairs))
    }

    private static func iceSentence(_ journal: CallJournal, pairs: [StatisticsObject]) -> String {
        func sum(_ name: String) -> Int { Int(pairs.reduce(0) { $0 + ($1[name]?.asDouble ?? 0) }) }
        if journal.localCandidates.isEmpty, let problem = journal.serverProblems.first {
            return "ICE failed: there is no local candidate: \(problem)"
        }
        if journal.localCandidates.isEmpty {
            return "ICE failed: there is no local candidate; no usable network interface was found"
        }
        if let sentence = streamSentence(journal, pairs: pairs) { return sentence }
        if pairs.isEmpty {
            return journal.remoteCandidateProblems.isEmpty
                ? "ICE failed: the other side announced no candidate, and no check of its arrived"
                : "ICE failed: none of the other side's candidates can be used"
        }
        let requests = sum("requestsSent")
        let responses = sum("responsesReceived")
        let received = sum("requestsReceived")
        if received > 0, responses == 0 {
            return "ICE failed: the other side's checks arrive (\(received)), but none of our \(requests) checks is "
                + "answered: what we send does not reach it, or its answers do not come back"
        }
        if responses == 0 {
            return "ICE failed: none of \(requests) checks on \(pairs.count) pairs was answered and no check arrived: "
                + "nothing gets through between these addresses in either direction; a relay (TURN) or a port mapping "
                + "is needed"
        }
        return "ICE failed: \(responses) of \(requests) checks were answered, but no pair was agreed on"
    }

    /// Where TCP is all there is, or all that could have worked: nobody came to our listener, or theirs refuses us.
    private static func streamSentence(_ journal: CallJournal, pairs: [StatisticsObject]) -> String? {
        func has(_ candidate: String, _ text: String) -> Bool { candidate.contains(" tcptype \(text)") }
        let isTCPOnly = journal.localCandidates.allSatisfy { has($0, "active") || has($0, "passive") }
        guard isTCPOnly else { return nil }
        let received = pairs.reduce(0) { $0 + ($1["requestsReceived"]?.asDouble ?? 0) }
        let answered = pairs.reduce(0) { $0 + ($1["responsesReceived"]?.asDouble ?? 0) }
        guard received == 0, answered == 0 else { return nil }
        let failures: [String] = pairs.compactMap { pair in
            guard case .string(let event)? = pair["lastEvent"], case .string(let path)? = pair["path"],
                event.hasPrefix("TCP connection")
            else { return nil }
            return "\(path): \(event)"
        }
        if let first = failures.first {
            return "ICE failed: no TCP connection could be made (\(first)), and nobody connected to us"
        }
        let listeners = journal.localCandidates.filter { has($0, "passive") }.compactMap { candidate -> String? in
            let fields = candidate.split(separator: " ")
            return fields.count > 5 ? "\(fields[4]):\(fields[5])" : nil
        }
        guard let listener = listeners.first else { return nil }
        return
            "ICE failed: nobody connected to our TCP port, announced as \(listener): is \(listener)/tcp published and let "
            + "through, and does the other side make TCP connections (ICE-TCP active)?"
    }

    private static func facts(of journal: CallJournal, pairs: [StatisticsObject]) -> [String] {
        var facts: [String] = []
        for pair in pairs.prefix(20) {
            func text(_ name: String) -> String {
                switch pair[name] {
                case .string(let value): value
                case .integer(let value): "\(value)"
                case .bool(let value): "\(value)"
                case .number(let value): "\(value)"
                case nil: "?"
                }
            }
            facts.append(
                "pair \(text("path")): \(text("state")), \(text("requestsSent")) sent, "
                    + "\(text("responsesReceived")) answered, \(text("requestsReceived")) received"
                    + (pair["lastEvent"].map { event in
                        if case .string(let value) = event { ", last: \(value)" } else { "" }
                    } ?? ""))
        }
        for (what, count) in journal.unreachable.sorted(by: { $0.key < $1.key }).prefix(20) {
            facts.append("\(what) (\(count) times)")
        }
        for (reason, count) in journal.drops.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            facts.append("\(count) packets dropped: \(reason.rawValue)")
        }
        facts += journal.serverProblems.prefix(10)
        facts += journal.remoteCandidateProblems.prefix(10).map { "candidate not used: \($0)" }
        facts += journal.refusedStreams.prefix(10)
        return facts
    }
}
