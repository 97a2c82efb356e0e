import Primitives
import RTP
import SDP
import Testing

@testable import Peer

/// What scenarios of renegotiation have in common: a call that stands, exchanges in its middle, frames counted after them.
extension ScenarioCall {
    static func standing(
        _ network: String = "rtt=60ms", kinds: [MediaKind] = [.audio, .video], seed: UInt64,
        configure: (Side, inout PeerConfiguration) -> Void = { _, _ in }
    ) throws -> ScenarioCall {
        let call = try ScenarioCall(network, seed: seed, configure: configure)
        try call.addMedia(left: kinds, right: kinds, videoBitrate: 300_000)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        return call
    }

    /// Changes what `side` wants and carries the exchange out.
    func renegotiate(
        _ side: Side, iceRestart: Bool = false, _ change: (inout PeerEngine) throws -> Void = { _ in }
    ) throws {
        try turn(side) { engine, _ in try change(&engine) }
        try offer(from: side, iceRestart: iceRestart)
        try run(for: .milliseconds(500))
        #expect(left.engine.signalingState == .stable && right.engine.signalingState == .stable)
    }

    /// A source for a section that came by an exchange.
    func addTrack(_ kind: MediaKind, mid: String, to side: Side) {
        var track = SyntheticTrack(
            kind, mid: mid, interval: kind == .video ? .microseconds(33_333) : .milliseconds(20),
            bitrate: kind == .video ? 300_000 : 32_000, random: random.split())
        track.start(at: now)
        self[side].tracks.append(track)
    }

    func removeTrack(mid: String, from side: Side) { self[side].tracks.removeAll { $0.mid == mid } }

    /// Frames that reach `side` in a section within `length`.
    func frames(_ mid: String, at side: Side, for length: TimeDelta = .seconds(2)) throws -> Int {
        let before = self[side].received[mid]?.count ?? 0
        try run(for: length)
        return (self[side].received[mid]?.count ?? 0) - before
    }

    /// Whether every frame that came was whole and in its place.
    func expectWhole(_ mid: String, at side: Side, _ comment: Comment? = nil) {
        #expect(self[side].received[mid]?.damaged == 0, comment)
        #expect(self[side].received[mid]?.disordered == 0, comment)
    }

    func ufrag(_ side: Side) -> String? {
        guard
            case .string(let text)? = self[side].engine.statistics(at: now).objects(of: .transport)
                .first?["iceLocalUsernameFragment"]
        else { return nil }
        return text
    }
}

extension String {
    /// The description with `change` made to each line of the section with this index.
    func mappingLines(ofSection wanted: Int, _ change: (Substring) -> String) -> String {
        var section = -1
        return split(separator: "\r\n").map { line in
            if line.hasPrefix("m=") { section += 1 }
            return section == wanted ? change(line) : String(line)
        }.joined(separator: "\r\n") + "\r\n"
    }
}
