import ICE
import Peer
import Primitives
import SimulatedNetwork

/// TCP of both sides. The inside listens on one port for all calls.
extension BoundaryBench {
    static let listener = TransportAddress(inside, 30_100)

    func streams(of call: Int, _ side: Side) -> VirtualStreams { side == .left ? phoneStreams[call] : insideStreams }

    private func isAsleep(_ streams: VirtualStreams) -> Bool {
        phoneStreams.firstIndex { $0 === streams }.map(asleep.contains) ?? false
    }

    /// What a side gathers on besides UDP.
    func streamBases(of call: Int, _ side: Side) -> [LocalBase] {
        let wanted = side == .left ? options.phoneTCP : options.insideTCP
        let streams = streams(of: call, side)
        let ips = side == .left ? simulation.addresses(of: streams.host) : [Self.inside]
        var bases: [LocalBase] = []
        for ip in ips {
            if wanted.contains(.tcpActive) { bases.append(.tcpActive(ip)) }
            guard wanted.contains(.tcpPassive) else { continue }
            let address = side == .left ? TransportAddress(ip, 51_000) : Self.listener
            streams.tcp.listen(on: address)
            bases.append(LocalBase(address: address, transport: .tcpPassive))
        }
        return bases
    }

    var streamsDeadline: Instant? {
        phoneStreams.reduce(insideStreams.deadline) { isAsleep($1) ? $0 : earliest($0, $1.deadline) }
    }

    /// True for a segment, or an error about one.
    func deliverStream(_ arrival: Arrival) -> Bool {
        let all = [insideStreams] + phoneStreams
        switch arrival.delivery {
        case .datagram(let datagram):
            guard datagram.path.transport == .tcp else { return false }
            for streams in all where streams.host == arrival.host && !isAsleep(streams) {
                streams.tcp.receive(datagram, at: now)
            }
        case .unreachable(let path, let reason):
            guard path.transport == .tcp else { return false }
            for streams in all where streams.host == arrival.host { streams.tcp.noteUnreachable(path, reason) }
        }
        return true
    }

    func noteConsent(_ datagram: Datagram, _ call: Int) {
        if datagram.bytes.prefix(2) == [1, 1] { calls[call].lastConsent[datagram.path] = now }
    }

    private func noteAnswer(_ datagram: Datagram, _ call: Int, _ side: Side) {
        if side == .right { return noteConsent(datagram, call) }
        if datagram.bytes.prefix(2) == [1, 1] { calls[call].lastAnswer = now }
    }

    /// Lets every host's TCP do what is due, until none has anything to tell.
    func serveStreams() throws {
        var isSettled = false
        while !isSettled {
            isSettled = true
            for (index, streams) in ([insideStreams] + phoneStreams).enumerated() where !isAsleep(streams) {
                if let due = streams.tcp.deadline, due <= now { streams.tcp.advance(to: now) }
                for (call, report) in streams.take(now, &simulation) {
                    isSettled = false
                    let side: Side = index == 0 ? .right : .left
                    if case .frame(let datagram) = report { noteAnswer(datagram, call, side) }
                    let now = now
                    try turn(call, side) { report.tell(&$0, at: now, into: &$1) }
                }
            }
        }
    }
}
