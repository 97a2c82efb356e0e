import Congestion
import Primitives
import RTP
import SDP

/// Why keys are not sent.
public enum TelephoneEventRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not one of 0-9, A-D, `*`, `#` and the comma.
    case invalidDigit(Character)
    /// No section sends audio.
    case notSending
    /// The other side takes no telephone events at the clock rate of the audio.
    case notAgreed
    /// More than 256 keys would wait.
    case queueFull

    public var description: String {
        switch self {
        case .invalidDigit(let digit): "\"\(digit)\" is no key: there are 0-9, A-D, * and #, and the comma for a pause"
        case .notSending: "no audio is being sent, and keys go with it"
        case .notAgreed: "the other side takes no telephone events with this audio codec"
        case .queueFull: "too many keys wait to be sent: 256 are the limit"
        }
    }
}

/// DTMF (RFC 4733, W3C RTCDTMFSender): keys ride on the audio stream, with its SSRC, sequence and clock.
extension PeerEngine {
    /// Sends keys one after the other: `0`-`9`, `A`-`D`, `*`, `#`; a comma is a pause of two seconds. All of them are
    /// refused where one is not a key.
    ///
    /// - Parameters:
    ///   - duration: how long a key sounds, 40...6,000 ms.
    ///   - gap: silence after each, 30...6,000 ms.
    ///   - mid: the section to send on; `nil`: the first that sends audio and takes them.
    public mutating func sendTelephoneEvents(
        _ digits: String, duration: TimeDelta = .milliseconds(100), gap: TimeDelta = .milliseconds(70),
        mid: String? = nil, at now: Instant, into out: inout Output
    ) throws(TelephoneEventRefusal) {
        for digit in digits where digit != "," && TelephoneEvent.event(of: digit) == nil {
            throw .invalidDigit(digit)
        }
        let sections = senders.keys.filter { key in
            mid.map { $0 == key } ?? true && senders[key].map { $0.isActive && $0.kind == .audio } ?? false
        }
        guard srtp != nil, !isClosed, !sections.isEmpty else { throw .notSending }
        guard
            let section = sections.first(where: {
                senders[$0]?.stream.configuration.telephoneEventPayloadType != nil
            }), let position = senders.position(of: section)
        else { throw .notAgreed }
        guard digits.count <= senders[at: position].stream.roomForTelephoneEvents else { throw .queueFull }
        senders[at: position].stream.sendTelephoneEvents(digits, duration: duration, gap: gap, at: now)
        trace(.peer(.telephoneEventsQueued(mid: section, count: digits.count)), at: now, into: &out)
        sendTelephoneEvents(at: now, into: &out)
    }

    /// Sends the packets of keys that are due.
    mutating func sendTelephoneEvents(at now: Instant, into out: inout Output) {
        defer { nextTelephoneEvent = senders.indices.reduce(nil) { earliest($0, senders[at: $1].stream.deadline) } }
        for position in senders.indices {
            guard let due = senders[at: position].stream.deadline, due <= now else { continue }
            packetScratch.removeAll(keepingCapacity: true)
            senders[at: position].stream.advance(to: now, into: &packetScratch)
            // On hold, and without consent, the keys pass unheard: nothing may leave.
            guard senders[at: position].isActive, ice.sendingPath != nil, pacer.hasRoom else { continue }
            for packet in packetScratch {
                pacer.enqueue(PacedPacket(packet: packet), bytes: packet.bytes.count, priority: .audio, at: now)
            }
            packetScratch.removeAll(keepingCapacity: true)
            releasePaced(at: now, into: &out)
        }
    }
}
