import ICE
import Peer
import Primitives
import SimulatedNetwork

/// What the driver of a host does with TCP, in virtual time: makes and accepts connections, cuts them into frames, and tells
/// accepted ones apart by their first Binding request.
final class VirtualStreams {
    enum Report {
        case connected(NetworkPath, TransportAddress)
        case frame(Datagram)
        case disconnected(NetworkPath, String)
    }
    private struct Link {
        var path: NetworkPath
        var cutter: FrameCutter
        var owner: Int?
        var guest: ConnectionReception.Connection?
        var admission = FrameAdmission()
    }

    let host: HostID
    var tcp: SimulatedTCP
    var reception: ConnectionReception
    private var members: [Int: ConnectionReception.Member] = [:]
    private var links: [SimulatedTCP.Connection: Link] = [:]
    /// Frames that were dropped because too much waited.
    private(set) var discarded = 0
    private(set) var connects = 0

    init(host: HostID, limits: ConnectionReception.Limits = .init()) {
        self.host = host
        tcp = SimulatedTCP()
        reception = ConnectionReception(limits: limits)
    }

    var deadline: Instant? { earliest(tcp.deadline, reception.deadline) }
    var connectionCount: Int { links.count }
    func paths(of owner: Int) -> [NetworkPath] { links.values.filter { $0.owner == owner }.map(\.path) }

    func setUfrags(_ ufrags: [String], of owner: Int) {
        if members[owner] == nil { members[owner] = reception.join() }
        if let member = members[owner] { reception.setUfrags(ufrags, of: member) }
    }

    // MARK: What an engine wants

    func connect(_ path: NetworkPath, for owner: Int, at now: Instant) {
        connects += 1
        let connection = tcp.connect(from: path.local.ip, to: path.remote, at: now)
        links[connection] = Link(path: path, cutter: FrameCutter(), owner: owner)
    }

    func close(_ path: NetworkPath, of owner: Int, at now: Instant) {
        guard let (connection, link) = links.first(where: { $0.value.path == path && $0.value.owner == owner }) else {
            return
        }
        if let guest = link.guest { reception.remove(guest) }
        links[connection] = nil
        tcp.close(connection, at: now)
    }

    /// False when the frame was dropped.
    func send(_ datagram: Datagram, of owner: Int, at now: Instant) -> Bool {
        guard
            let (connection, link) = links.first(where: { $0.value.path == datagram.path && $0.value.owner == owner })
        else { return false }
        let queued = tcp.waitingBytes(of: connection)
        guard links[connection]?.admission.admits(datagram.bytes, queued: queued, at: now) == true else {
            discarded += 1
            return false
        }
        if let guest = link.guest {
            reception.noteSent(on: guest)
            links[connection]?.cutter.limit = 65_535
        }
        var frame: [UInt8] = []
        _ = FrameCutter.append(datagram.bytes, to: &frame)
        tcp.send(frame, on: connection, at: now)
        return true
    }

    // MARK: What comes of it

    func take(_ now: Instant, _ simulation: inout Simulation) -> [(owner: Int, report: Report)] {
        var reports: [(Int, Report)] = []
        for guest in reception.advance(to: now) {
            guard let connection = links.first(where: { $0.value.guest == guest })?.key else { continue }
            if let link = links[connection], let owner = link.owner {
                reports.append((owner, .disconnected(link.path, "nothing authenticated on it in time")))
            }
            links[connection] = nil
            tcp.abort(connection)
        }
        let output = tcp.takeOutput()
        for event in output.events { note(event, at: now, into: &reports) }
        for datagram in output.datagrams + tcp.takeOutput().datagrams {
            simulation.send(datagram, from: host, at: now)
        }
        return reports
    }

    private func note(_ event: SimulatedTCP.Event, at now: Instant, into reports: inout [(Int, Report)]) {
        switch event {
        case .accepted(let connection, let path):
            let (guest, evicted) = reception.accept(at: now)
            if let evicted, let old = links.first(where: { $0.value.guest == evicted })?.key {
                links[old] = nil
                tcp.abort(old)
            }
            guard let guest else { return tcp.abort(connection) }
            links[connection] = Link(
                path: path, cutter: FrameCutter(limit: reception.limits.strangerFrame), guest: guest)
        case .connected(let connection, let path):
            if let link = links[connection], let owner = link.owner {
                reports.append((owner, .connected(link.path, path.local)))
            }
        case .received(let connection, let bytes):
            do {
                try links[connection]?.cutter.append(bytes)
                while let frame = try links[connection]?.cutter.next() {
                    receive(frame, on: connection, into: &reports)
                }
            } catch {
                end(connection, "\(error)", into: &reports)
                tcp.abort(connection)
            }
        case .ended(let connection, let reason): end(connection, reason.rawValue, into: &reports)
        }
    }

    private func receive(_ frame: [UInt8], on connection: SimulatedTCP.Connection, into reports: inout [(Int, Report)])
    {
        guard let link = links[connection] else { return }
        if link.owner == nil, let guest = link.guest {
            guard case .member(let member) = reception.receive(frame, on: guest),
                let owner = members.first(where: { $0.value == member })?.key
            else {
                links[connection] = nil
                return tcp.abort(connection)
            }
            links[connection]?.owner = owner
        }
        guard let owner = links[connection]?.owner else { return }
        reports.append((owner, .frame(Datagram(bytes: frame, path: link.path))))
    }

    private func end(_ connection: SimulatedTCP.Connection, _ reason: String, into reports: inout [(Int, Report)]) {
        guard let link = links.removeValue(forKey: connection) else { return }
        if let guest = link.guest { reception.remove(guest) }
        if let owner = link.owner { reports.append((owner, .disconnected(link.path, reason))) }
    }
}

extension VirtualStreams.Report {
    /// Tells an engine.
    func tell(_ engine: inout PeerEngine, at now: Instant, into out: inout PeerEngine.Output) {
        switch self {
        case .connected(let path, let local): engine.connected(path, from: local, at: now, into: &out)
        case .frame(let datagram): engine.receive(datagram, at: now, into: &out)
        case .disconnected(let path, let reason): engine.disconnected(path, reason: reason, at: now, into: &out)
        }
    }
}
