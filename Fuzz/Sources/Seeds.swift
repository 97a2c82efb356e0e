import DTLSSRTP
import Foundation
import ICE
import Primitives
import SDP

@testable import Peer
@testable import RTP

/// Writes seeds for the packet parsers, one folder a parser, from machines that talk to each other.
func writeSeeds(to folder: String) {
    var seeds: [String: [String: [UInt8]]] = [:]
    collectEngineSeeds(&seeds)
    collectDTLSSeeds(&seeds)
    collectSRTPSeeds(&seeds)
    for (parser, files) in seeds {
        let target = folder + "/" + parser
        try? FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        for (name, bytes) in files { try? Data(bytes).write(to: URL(fileURLWithPath: target + "/" + name)) }
    }
}

/// What the left engine sends in a short call: as inputs of several datagrams for `engine`, and one by one.
private func collectEngineSeeds(_ seeds: inout [String: [String: [UInt8]]]) {
    for scenario in Scenario.allCases {
        let tap = Tap(scenario)
        var pair = plainPair()
        pair.passes = tap.sees
        for number in 0..<4 {
            for (mid, frame) in frames(number) {
                for side in [EnginePair.Side.left, .right] where scenario.sends(side) {
                    pair.send(frame, mid: mid, from: side)
                }
            }
            pair.run(until: pair.now + .milliseconds(33))
        }
        pair.run(until: pair.now + .seconds(4))
        pair.left.close(at: pair.now, into: &pair.out)
        pair.drain(.left)
        seeds["engine", default: [:]]["\(scenario)"] = tap.input
        for (parser, packets) in tap.packets {
            for (index, packet) in packets.enumerated() {
                seeds[parser, default: [:]]["\(scenario)-\(index)"] = packet
            }
        }
    }
    collectPayloadSeeds(&seeds)
}

private enum Scenario: CaseIterable {
    case mediaInOrder, mediaWithLoss, reportsOnMedia, feedbackOnLoss

    func sends(_ side: EnginePair.Side) -> Bool {
        switch self {
        case .mediaInOrder, .mediaWithLoss: side == .left
        case .reportsOnMedia, .feedbackOnLoss: side == .right
        }
    }

    func loses(_ number: Int, from side: EnginePair.Side) -> Bool {
        switch self {
        case .mediaInOrder, .reportsOnMedia: false
        case .mediaWithLoss: side == .left && number % 5 == 3
        case .feedbackOnLoss: side == .right && number % 3 == 1
        }
    }
}

/// Keeps what the left engine sends.
private final class Tap {
    private let scenario: Scenario
    private(set) var input: [UInt8] = []
    private(set) var packets: [String: [[UInt8]]] = [:]
    private var last: Instant?
    private var number = 0

    init(_ scenario: Scenario) { self.scenario = scenario }

    func sees(_ side: EnginePair.Side, _ datagram: Datagram, _ now: Instant) -> Bool {
        number += 1
        guard !scenario.loses(number, from: side) else { return false }
        guard side == .left, input.count < 4_000 else { return true }
        Records.append(datagram.bytes, after: now - (last ?? now), to: &input)
        last = now
        switch PacketClass(datagram.bytes) {
        case .rtp: keep(datagram.bytes, for: "rtp")
        case .rtcp: keep(datagram.bytes, for: "rtcp")
        case .stun: keep(datagram.bytes, for: "stun")
        default: break
        }
        return true
    }

    private func keep(_ bytes: [UInt8], for parser: String) {
        guard packets[parser]?.contains(where: { $0.count == bytes.count }) != true else { return }
        packets[parser, default: []].append(Array(bytes.prefix(400)))
    }
}

private func collectPayloadSeeds(_ seeds: inout [String: [String: [UInt8]]]) {
    seeds["vp8", default: [:]]["keyframe"] = [0x90, 0x80, 0x80, 0x01, 0x10, 0, 0, 0x9D, 1, 0x2A, 0x80, 2, 0xE0, 1]
    seeds["vp8", default: [:]]["every-field"] = [0xB0, 0xF0, 0x81, 0x02, 0x05, 0x65, 0x11]
    seeds["vp8", default: [:]]["short-picture-id"] = [0x80, 0x80, 0x11, 0x00]
    for (name, toc) in [("silk-20ms", 0x08), ("celt-20ms-stereo", 0xFC), ("hybrid-code-3", 0x73)] as [(String, UInt8)] {
        seeds["opus", default: [:]][name] = [toc, 0x02, 1, 2, 3]
    }
    seeds["telephone-event", default: [:]]["digit-5"] = [65, 5, 10, 0, 160, 64, 5, 10, 1, 64, 64, 5, 0x8A, 3, 32]
}

private func collectDTLSSeeds(_ seeds: inout [String: [String: [UInt8]]]) {
    guard let identities else { return }
    let client = makeTransport(.client, identities)
    let server = makeTransport(.server, identities)
    var toServer: [UInt8] = [0]
    var toClient: [UInt8] = [1]
    var now = Instant.zero
    var output = DTLSTransport.Output()
    server.start(as: .server, at: now, into: &output)
    client.start(as: .client, at: now, into: &output)
    var inFlight = output.datagrams.map { (isToServer: true, bytes: $0) }
    output.removeAll()
    while !inFlight.isEmpty {
        let (isToServer, bytes) = inFlight.removeFirst()
        now = now + .milliseconds(5)
        if isToServer {
            Records.append(bytes, after: .milliseconds(5), to: &toServer)
            server.receive(bytes, at: now, into: &output)
        } else {
            Records.append(bytes, after: .milliseconds(5), to: &toClient)
            client.receive(bytes, at: now, into: &output)
        }
        inFlight += output.datagrams.map { (!isToServer, $0) }
        output.removeAll()
    }
    if client.state != .connected || server.state != .connected { print("the recorded handshake did not end") }
    seeds["dtls"] = ["handshake-to-server": toServer, "handshake-to-client": toClient]
}

private func collectSRTPSeeds(_ seeds: inout [String: [String: [UInt8]]]) {
    for (index, profile) in SRTPProfile.allCases.enumerated() {
        guard let session = srtpSession(profile, as: .client) else { continue }
        var rtp: [UInt8] = []
        RTPHeader.write(
            marker: true, payloadType: 96, sequence: SequenceNumber(17), timestamp: RTPTimestamp(3_000),
            ssrc: SSRC(0x1234), hasExtensions: false, into: &rtp)
        rtp += (0..<40).map { UInt8($0) }
        var rtcp = RTCPPacket.bytes(of: [.receiverReport(ReceiverReport(ssrc: SSRC(0x1234)))])
        try? session.protectRTP(&rtp)
        try? session.protectRTCP(&rtcp)
        seeds["srtp", default: [:]]["\(profile)-rtp"] = [UInt8(index << 1)] + rtp
        seeds["srtp", default: [:]]["\(profile)-rtcp"] = [UInt8(index << 1 | 1)] + rtcp
    }
}
