import Primitives

/// The runner: nodes and network move together, and the clock goes only to the next event or deadline.
///
/// At each instant every arrival is handed over in order, then every node whose deadline has come is advanced, and what
/// they send goes onto the links at once. This repeats until nothing more happens at the instant. A node that keeps the
/// clock from moving is an error after `stepBudget` calls.
extension Simulation {
    /// Runs nodes of any kind through one closure, which makes the call and returns the node's deadline.
    ///
    /// - Parameters:
    ///   - hosts: where each node lives; several may share one host, and each then gets all that arrives there.
    ///   - stop: asked after each instant; true ends the run there.
    public mutating func run(
        on hosts: [HostID], until end: Instant, stepBudget: Int = 20_000,
        stop: (Instant) -> Bool = { _ in false },
        call: (_ node: Int, NodeCall, _ now: Instant, _ out: inout [Datagram]) -> Instant?
    ) throws(SimulationError) {
        var deadlines: [Instant?] = Array(repeating: nil, count: hosts.count)
        var calls = Array(repeating: 0, count: hosts.count)
        var total = 0
        var out: [Datagram] = []
        var arrivals: [Arrival] = []
        for node in hosts.indices {
            deadlines[node] = call(node, .advance, now, &out)
            sendAll(&out, from: hosts[node])
        }
        while true {
            let deadline = deadlines.reduce(nil as Instant?) { earliest($0, $1) }
            guard let next = earliest(deadline, nextEvent), next <= end else { break }
            if next > now {
                total = 0
                for node in calls.indices { calls[node] = 0 }
            }
            arrivals.removeAll(keepingCapacity: true)
            advance(to: Swift.max(next, now), into: &arrivals)
            for arrival in arrivals {
                let step: NodeCall =
                    switch arrival.delivery {
                    case .datagram(let datagram): .datagram(datagram)
                    case .unreachable(let path, let reason): .unreachable(path, reason)
                    }
                for node in hosts.indices where hosts[node] == arrival.host {
                    deadlines[node] = call(node, step, now, &out)
                    sendAll(&out, from: hosts[node])
                    calls[node] += 1
                    total += 1
                }
            }
            for node in hosts.indices {
                guard let deadline = deadlines[node], deadline <= now else { continue }
                deadlines[node] = call(node, .advance, now, &out)
                sendAll(&out, from: hosts[node])
                calls[node] += 1
                total += 1
            }
            if total > stepBudget {
                let busiest = calls.indices.max { calls[$0] < calls[$1] } ?? 0
                throw .neverSettles(
                    node: name(of: hosts[busiest]), at: now, calls: total, deadline: deadlines[busiest])
            }
            if stop(now) { return }
        }
        now = Swift.max(now, end)
    }

    /// Runs nodes of one kind, one for each host of `hosts` in the same order.
    public mutating func run<Node: SimulatedNode>(
        _ nodes: inout [Node], on hosts: [HostID], until end: Instant, stepBudget: Int = 20_000
    ) throws(SimulationError) {
        let box = Local(nodes)
        nodes = []
        defer { nodes = box.value }
        try run(box, on: hosts, until: end, stepBudget: stepBudget) { _ in false }
    }

    /// As above, until `stop` is true after an instant.
    public mutating func run<Node: SimulatedNode>(
        _ nodes: inout [Node], on hosts: [HostID], until end: Instant, stepBudget: Int = 20_000,
        stop: (Instant, [Node]) -> Bool
    ) throws(SimulationError) {
        let box = Local(nodes)
        nodes = []
        defer { nodes = box.value }
        try run(box, on: hosts, until: end, stepBudget: stepBudget) { stop($0, box.value) }
    }

    /// Runs two nodes of any kinds.
    public mutating func run<Left: SimulatedNode, Right: SimulatedNode>(
        _ left: inout Left, on leftHost: HostID, _ right: inout Right, on rightHost: HostID, until end: Instant,
        stepBudget: Int = 20_000
    ) throws(SimulationError) {
        let boxes = (Local(left), Local(right))
        defer {
            left = boxes.0.value
            right = boxes.1.value
        }
        try run(boxes.0, boxes.1, on: [leftHost, rightHost], until: end, stepBudget: stepBudget) { _ in false }
    }

    /// As above, until `stop` is true after an instant.
    public mutating func run<Left: SimulatedNode, Right: SimulatedNode>(
        _ left: inout Left, on leftHost: HostID, _ right: inout Right, on rightHost: HostID, until end: Instant,
        stepBudget: Int = 20_000, stop: (Instant, Left, Right) -> Bool
    ) throws(SimulationError) {
        let boxes = (Local(left), Local(right))
        defer {
            left = boxes.0.value
            right = boxes.1.value
        }
        try run(boxes.0, boxes.1, on: [leftHost, rightHost], until: end, stepBudget: stepBudget) {
            stop($0, boxes.0.value, boxes.1.value)
        }
    }

    private mutating func run<Node: SimulatedNode>(
        _ box: Local<[Node]>, on hosts: [HostID], until end: Instant, stepBudget: Int, stop: (Instant) -> Bool
    ) throws(SimulationError) {
        precondition(box.value.count == hosts.count, "each node needs a host")
        try run(on: hosts, until: end, stepBudget: stepBudget, stop: stop) { index, call, now, out in
            box.value[index].take(call, at: now, into: &out)
        }
    }

    private mutating func run<Left: SimulatedNode, Right: SimulatedNode>(
        _ left: Local<Left>, _ right: Local<Right>, on hosts: [HostID], until end: Instant, stepBudget: Int,
        stop: (Instant) -> Bool
    ) throws(SimulationError) {
        try run(on: hosts, until: end, stepBudget: stepBudget, stop: stop) { index, call, now, out in
            index == 0 ? left.value.take(call, at: now, into: &out) : right.value.take(call, at: now, into: &out)
        }
    }

    private mutating func sendAll(_ out: inout [Datagram], from host: HostID) {
        guard !out.isEmpty else { return }
        for datagram in out { send(datagram, from: host, at: now) }
        out.removeAll(keepingCapacity: true)
    }
}

/// A node shared by the closures of one run, and by nothing else.
private final class Local<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}

extension SimulatedNode {
    fileprivate mutating func take(_ call: NodeCall, at now: Instant, into out: inout [Datagram]) -> Instant? {
        switch call {
        case .datagram(let datagram): receive(datagram, at: now, into: &out)
        case .unreachable(let path, let reason): noteUnreachable(path, reason, at: now, into: &out)
        case .advance: advance(to: now, into: &out)
        }
        return deadline
    }
}
