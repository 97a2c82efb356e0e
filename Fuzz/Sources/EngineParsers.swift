import DTLSSRTP
import Foundation
import ICE
import Primitives
import RTP
import SDP

@testable import Peer

/// SRTP that changes nothing: mutants reach what lies behind authentication.
final class PlainBackend: SRTPBackend {
    func protectRTP(_ packet: inout [UInt8]) throws(SRTPError) {}
    func unprotectRTP(_ packet: inout [UInt8]) throws(SRTPError) {}
    func protectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {}
    func unprotectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {}
}

/// A call between two engines without encryption: the fuzzed engine is a copy of its right one.
func plainPair() -> EnginePair {
    guard var pair = try? EnginePair() else { preconditionFailure("no call to fuzz") }
    pair.left.srtp = SRTPSession(profile: .aeadAES128GCM, backend: PlainBackend())
    pair.right.srtp = SRTPSession(profile: .aeadAES128GCM, backend: PlainBackend())
    // The one object with state of its own: without it a copy of an engine is a copy.
    pair.left.dtls = nil
    pair.right.dtls = nil
    return pair
}

private nonisolated(unsafe) let inCall: EnginePair = {
    var pair = plainPair()
    // It has sent some frames, so that it has something to be asked again for.
    for number in 0..<4 {
        for (mid, frame) in frames(number) { pair.send(frame, mid: mid, from: .right) }
        pair.run(until: pair.now + .milliseconds(33))
    }
    return pair
}()

/// Two audio frames and a video frame of two packets.
func frames(_ number: Int) -> [(mid: String, frame: EncodedFrame)] {
    let tick = Int64(number)
    var video = (0..<1_500).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) }
    video[0] = number % 30 == 0 ? 0x10 : 0x11
    video.replaceSubrange(3..<10, with: [0x9D, 0x01, 0x2A, 0x80, 0x02, 0xE0, 0x01])
    let audio: [UInt8] = [0x78] + (0..<40).map { UInt8(truncatingIfNeeded: $0 &+ number) }
    return [
        ("0", EncodedFrame(codec: .opus, payload: audio, timestamp: tick * 1_920, duration: 960)),
        ("0", EncodedFrame(codec: .opus, payload: audio, timestamp: tick * 1_920 + 960, duration: 960)),
        ("1", EncodedFrame(codec: .vp8, payload: video, timestamp: tick * 3_000, isKeyframe: number % 30 == 0)),
    ]
}

/// Datagrams into an engine in mid-call, behind SRTP, and STUN requests signed with its password.
///
/// Held to: no trap, and after `advance(to: d)` a deadline that is `nil` or later than `d`.
func fuzzEngine(_ bytes: [UInt8]) {
    var engine = unsafe inCall.right
    var now = unsafe inCall.now
    var out = PeerEngine.Output()
    let path = NetworkPath(local: EnginePair.rightAddress, remote: EnginePair.leftAddress)
    let key = MessageIntegrityKey(password: engine.ice.localCredentials.password)
    for record in Records(bytes) {
        now = now + record.after
        settle(&engine, at: now, into: &out)
        var payload = record.bytes
        if PacketClass(payload) == .stun, let message = try? STUNMessage(parsing: payload),
            message.messageClass == .request
        {
            payload = message.encoded(integrity: key)
        }
        engine.receive(Datagram(bytes: payload, path: path), at: now, into: &out)
        out.removeAll()
        settle(&engine, at: now, into: &out)
    }
    precondition(engine.receivers.count <= engine.configuration.limits.receiveStreams)
    _ = engine.statistics(at: now)
}

private func settle(_ engine: inout PeerEngine, at now: Instant, into out: inout PeerEngine.Output) {
    guard let due = engine.deadline, due <= now else { return }
    engine.advance(to: now, into: &out)
    out.removeAll()
    guard let next = engine.deadline else { return }
    guard next <= now else { return }
    var text = "at \(now): ICE \(engine.ice.deadline as Any), pacer \(engine.pacer.deadline as Any), "
    text += "reports \(engine.reports.deadline as Any), feedback \(engine.transportFeedback.deadline as Any), "
    text += "bandwidth \(engine.bandwidth.deadline as Any)"
    for receiver in engine.receivers.values { text += ", section \(receiver.mid) \(receiver.stream.deadline as Any)" }
    FileHandle.standardError.write(Data((text + "\n").utf8))
    preconditionFailure("after advance(to: d) the deadline is not later than d")
}

/// Text as the other side's offer; what it accepts is answered, and the answer can be read.
func fuzzNegotiation(_ bytes: [UInt8]) {
    guard let offer = try? SessionDescription(parsing: String(decoding: bytes, as: UTF8.self)) else { return }
    var engine = unsafe fresh
    var out = PeerEngine.Output()
    let now = Instant(nanoseconds: 1_000_000_000)
    guard (try? engine.setRemoteDescription(offer, type: .offer, at: now, into: &out)) != nil else { return }
    guard let answer = try? engine.createAnswer() else { return }
    precondition((try? SessionDescription(parsing: answer.serialized)) == answer, "our answer cannot be read")
    precondition(answer.media.count == offer.media.count)
    _ = try? engine.setLocalDescription(answer, type: .answer, at: now, into: &out)
    settle(&engine, at: now + .milliseconds(500), into: &out)
    _ = engine.statistics(at: now)
}

private nonisolated(unsafe) let fresh: PeerEngine = {
    guard let certificate = try? Certificate.generate() else { preconditionFailure("no certificate") }
    var engine = PeerEngine(
        configuration: PeerConfiguration(role: .controlled, certificate: certificate), random: .seeded(1),
        wallClock: WallClock(instant: .zero, unixNanoseconds: 1_700_000_000_000_000_000))
    _ = try? engine.addTransceiver(.audio, direction: .sendReceive)
    _ = try? engine.addTransceiver(.video, direction: .sendReceive)
    return engine
}()
