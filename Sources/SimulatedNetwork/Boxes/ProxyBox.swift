import Primitives

/// A reverse proxy at work: flows found from outside by (client, front) and from inside by the upstream endpoint.
struct ProxyBox {
    enum Verdict {
        case forward(source: TransportAddress, destination: TransportAddress)
        case refused(Refusal)
    }

    private struct Key: Hashable {
        var client: TransportAddress
        var front: TransportAddress
    }

    let name: String
    let frontInterface: Int
    let backInterface: Int
    let back: [IPAddress]
    var configuration: ProxyConfiguration
    var statistics = ProxyStatistics()
    private var flows: [Key: ProxyFlow] = [:]
    private var byUpstream: [TransportAddress: Key] = [:]
    private var random: RandomSource

    init(
        name: String, configuration: ProxyConfiguration, frontInterface: Int, backInterface: Int, back: [IPAddress],
        random: RandomSource
    ) {
        self.name = name
        self.configuration = configuration
        self.frontInterface = frontInterface
        self.backInterface = backInterface
        self.back = back
        self.random = random
    }

    /// A client's datagram to a front port.
    mutating func receive(
        fromOutside source: TransportAddress, to front: TransportAddress, at now: Instant
    ) -> Verdict {
        let key = Key(client: source, front: front)
        if let flow = flows[key], isIdle(flow, at: now) { end(key, counting: \.flowsExpired) }
        guard let flow = flows[key] else { return open(key, at: now) }
        if configuration.refresh.contains(.outbound) { flows[key]?.lastRefresh = now }
        return .forward(source: flow.upstream, destination: flow.target)
    }

    /// A datagram from inside to an upstream port; only the flow's target is heard.
    mutating func receive(
        fromInside source: TransportAddress, to upstream: TransportAddress, at now: Instant
    ) -> Verdict {
        if let key = byUpstream[upstream], let flow = flows[key], isIdle(flow, at: now) {
            end(key, counting: \.flowsExpired)
        }
        guard let key = byUpstream[upstream], let flow = flows[key] else {
            statistics.unmatched += 1
            return .refused(configuration.closedPort)
        }
        guard flow.target == source else {
            statistics.unmatched += 1
            return .refused(.silent)
        }
        if configuration.refresh.contains(.inbound) { flows[key]?.lastRefresh = now }
        return .forward(source: flow.front, destination: flow.client)
    }

    /// Forgets every flow, as a restart does.
    mutating func flush() {
        statistics.flowsFlushed += flows.count
        flows.removeAll()
        byUpstream.removeAll()
    }

    /// Gives every flow another upstream port, as a proxy does whose outgoing sockets are made anew. What the inside sends
    /// to the former ports finds nobody.
    mutating func rebind() {
        byUpstream.removeAll()
        for key in flows.keys.sorted(by: { ($0.client, $0.front) < ($1.client, $1.front) }) {
            guard let flow = flows[key], let upstream = chooseUpstream(flow.target.ip.family) else { continue }
            flows[key]?.upstream = upstream
            byUpstream[upstream] = key
            statistics.flowsRebound += 1
        }
    }

    func list(at now: Instant) -> [ProxyFlow] {
        flows.values.filter { !isIdle($0, at: now) }.sorted { $0.upstream < $1.upstream }
    }

    private func isIdle(_ flow: ProxyFlow, at now: Instant) -> Bool {
        now - flow.lastRefresh > configuration.idleTimeout
    }

    private mutating func end(_ key: Key, counting counter: WritableKeyPath<ProxyStatistics, Int>) {
        guard let flow = flows.removeValue(forKey: key) else { return }
        byUpstream[flow.upstream] = nil
        statistics[keyPath: counter] += 1
    }

    private mutating func open(_ key: Key, at now: Instant) -> Verdict {
        guard let rule = configuration.rules.first(where: { $0.outside.contains(key.front.port) }),
            let port = UInt16(exactly: Int(key.front.port) + rule.offset)
        else {
            statistics.unmatched += 1
            return .refused(configuration.closedPort)
        }
        guard makeRoom(at: now), let upstream = chooseUpstream(rule.target.family) else {
            statistics.refused += 1
            return .refused(.silent)
        }
        let target = TransportAddress(rule.target, port)
        flows[key] = ProxyFlow(
            client: key.client, front: key.front, upstream: upstream, target: target, lastRefresh: now)
        byUpstream[upstream] = key
        statistics.flowsCreated += 1
        return .forward(source: upstream, destination: target)
    }

    private mutating func makeRoom(at now: Instant) -> Bool {
        guard flows.count >= configuration.maximumFlows else { return true }
        for (key, flow) in flows where isIdle(flow, at: now) { end(key, counting: \.flowsExpired) }
        if flows.count < configuration.maximumFlows { return true }
        guard configuration.whenFull == .evictOldest else { return false }
        // The upstream endpoint breaks ties: dictionaries have no order of their own.
        let oldest = flows.min { a, b in
            (a.value.lastRefresh, a.value.upstream) < (b.value.lastRefresh, b.value.upstream)
        }
        if let oldest { end(oldest.key, counting: \.flowsEvicted) }
        return flows.count < configuration.maximumFlows
    }

    private mutating func chooseUpstream(_ family: IPAddress.Family) -> TransportAddress? {
        guard let ip = back.first(where: { $0.family == family }) else { return nil }
        let ports = configuration.upstreamPorts
        let first = UInt16.random(in: ports, using: &random)
        var port = first
        repeat {
            let candidate = TransportAddress(ip, port)
            if byUpstream[candidate] == nil { return candidate }
            port = port == ports.upperBound ? ports.lowerBound : port + 1
        } while port != first
        return nil
    }
}
