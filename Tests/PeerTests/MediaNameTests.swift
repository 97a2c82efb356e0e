import ICE
import Peer
import Primitives
import SDP
import Testing

/// Candidates under `.local` names, as browsers give them.
@Suite struct MediaNameTests {
    private static let name = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"

    /// A call whose left side hides its address, in the description and when trickled.
    private func call(seed: UInt64) throws -> (ScenarioCall, IPAddress) {
        let call = try ScenarioCall("rtt=40ms", seed: seed)
        try call.addMedia(right: [])
        let address = call.bases(of: .left)[0].address.ip
        call.signalFilter = { signal in
            guard signal.to == .right else { return signal }
            var signal = signal
            switch signal.message {
            case .description(let type, let text):
                signal.message = .description(type, text.replacing(" \(address) ", with: " \(Self.name) "))
            case .candidate(var candidate, let mid, let index):
                if candidate.host == .address(address) { candidate.host = .name(Self.name) }
                signal.message = .candidate(candidate, mid: mid, index: index)
            case .endOfCandidates: break
            }
            return signal
        }
        return (call, address)
    }

    private func remoteAddresses(_ call: ScenarioCall, ofType type: String) -> Set<String> {
        let candidates = call.right.engine.statistics(at: call.now).objects(of: .remoteCandidate)
        return Set(
            candidates.filter { $0["candidateType"] == .string(type) }.compactMap {
                if case .string(let address)? = $0["address"] { address } else { nil }
            })
    }

    @Test func aNameThatIsResolvedIsACandidate() throws {
        let (call, address) = try call(seed: 1)
        var wanted: [String] = []
        call.right.onEvent = { event, now in
            guard case .nameResolutionWanted(let name) = event else { return }
            wanted.append(name)
            call.at(now + .milliseconds(30)) { call in
                let at = call.now
                try call.turn(.right) { $0.resolveRemoteName(name, addresses: [address], at: at, into: &$1) }
            }
        }
        // Only what the right side sends opens the way.
        call.onDeparture = { [unowned call] side, datagram in
            side == .right
                || call.right.engine.statistics(at: call.now).objects(of: .candidatePair).contains {
                    ($0["requestsSent"]?.asDouble ?? 0) > 0
                } || PacketClass(datagram.bytes) != .stun
        }
        try call.start()
        try call.connect()
        #expect(wanted == [Self.name], "asked once, however many candidates bear it")
        #expect(remoteAddresses(call, ofType: "host") == ["\(address)"])
        try call.run(for: .seconds(1))
        #expect(call.right.received["1"]?.count ?? 0 > 20)
    }

    /// Its checks tell where it is.
    @Test func aNameNobodyResolvesIsNotFatal() throws {
        let (call, _) = try call(seed: 2)
        call.right.keepsTrace = true
        call.right.onEvent = { event, now in
            guard case .nameResolutionWanted(let name) = event else { return }
            call.at(now + .milliseconds(300)) { call in
                let at = call.now
                try call.turn(.right) {
                    $0.resolveRemoteName(name, addresses: [], reason: "nobody answers", at: at, into: &$1)
                }
            }
        }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        #expect(call.right.received["1"]?.count ?? 0 > 10)
        #expect(remoteAddresses(call, ofType: "host").isEmpty)
        let ignored = call.right.trace.contains {
            if case .peer(.remoteCandidateIgnored(let text, "nobody answers")) = $0.detail {
                return text.contains(Self.name)
            }
            return false
        }
        #expect(ignored)
    }

    @Test func namesAreLookedUpInBoundedNumberAndOnlyUnderLocal() throws {
        let call = try ScenarioCall("rtt=40ms", seed: 3)
        try call.addMedia(right: [])
        var wanted = 0
        call.right.onEvent = { event, _ in if case .nameResolutionWanted = event { wanted += 1 } }
        call.right.keepsTrace = true
        try call.start()
        try call.connect()
        func add(_ host: String, transport: String = "udp", component: Int = 1) throws {
            let now = call.now
            let candidate = try CandidateAttribute(
                parsing: "candidate:1 \(component) \(transport) 2122260223 \(host) 5000 typ host")
            try call.turn(.right) { $0.addRemoteCandidate(candidate, at: now, into: &$1) }
        }
        try add("internal.example")
        try add("host.localdomain")
        try add("abc.local", component: 2)
        #expect(wanted == 0)
        for index in 0..<100 { try add("name\(index).local") }
        for _ in 0..<100 { try add("NAME0.local") }
        #expect(wanted == 16)
        let refused = call.right.trace.count {
            if case .peer(.remoteCandidateIgnored(_, "too many names wait to be looked up")) = $0.detail {
                true
            } else {
                false
            }
        }
        #expect(refused == 84 + 93)
        let now = call.now
        try call.turn(.right) { $0.resolveRemoteName("never.local", addresses: [.loopbackV4], at: now, into: &$1) }
        try call.run(for: .seconds(1))
        #expect(call.areConnected)
    }
}
