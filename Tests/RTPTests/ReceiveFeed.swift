import Primitives
import RTP
import Testing

/// Feeds hand-made packets and gathers what comes out.
struct Feed {
    var stream: ReceiveStream
    var frames: [EncodedFrame] = []
    var nacks: [[UInt16]] = []
    var requests: [KeyframeRequestReason] = []
    var tones: [ReceivedTelephoneEvent] = []
    var captures: [(ntp: NTPTime, timestamp: Int64)] = []
    var trace: [RTPTrace] = []

    init(_ kind: MediaKind, nack: Bool = true, _ adjust: (inout ReceiveStreamConfiguration) -> Void = { _ in }) {
        var configuration = ReceiveStreamConfiguration(
            ssrc: SSRC(1), kind: kind, clockRate: kind == .video ? 90_000 : 8_000,
            payloadTypes: kind == .video ? [96: .vp8] : [0: .pcmu, 13: .comfortNoise, 101: .telephoneEvent],
            retransmissionPayloadTypes: [97: 96], isNACKEnabled: nack)
        adjust(&configuration)
        stream = ReceiveStream(configuration)
    }

    mutating func put(
        _ sequence: UInt16, _ timestamp: UInt32, _ payload: [UInt8], type: UInt8, marker: Bool = false,
        at milliseconds: Int64, padding: Int = 0, isRetransmission: Bool = false,
        extensions: [HeaderExtensionElement] = []
    ) {
        var bytes: [UInt8] = []
        RTPHeader.write(
            marker: marker, payloadType: type, sequence: SequenceNumber(sequence), timestamp: RTPTimestamp(timestamp),
            ssrc: SSRC(1), hasExtensions: !extensions.isEmpty, into: &bytes)
        RTPHeaderExtensions.write(extensions, into: &bytes)
        bytes += payload
        if padding > 0 {
            bytes[0] |= 0x20
            bytes += Array(repeating: 0, count: padding - 1) + [UInt8(padding)]
        }
        guard let header = try? RTPHeader(parsing: bytes) else {
            Issue.record("bad packet")
            return
        }
        var out = Outbox<ReceiveEvent, RTPTrace>()
        stream.receive(
            header, packet: bytes, at: .zero + .milliseconds(milliseconds), isRetransmission: isRetransmission,
            into: &out)
        take(out)
    }

    /// A VP8 packet: S on the first of a frame, marker on the last.
    mutating func video(
        _ sequence: UInt16, frame: UInt32, first: Bool = true, last: Bool = true, key: Bool = false,
        data: [UInt8] = [7], at milliseconds: Int64, isRetransmission: Bool = false
    ) {
        let head: [UInt8] = first ? [0x10, key ? 0x10 : 0x11] : [0x00]
        put(
            sequence, frame &* 3_000, head + data, type: 96, marker: last, at: milliseconds,
            isRetransmission: isRetransmission)
    }

    mutating func audio(_ sequence: UInt16, at milliseconds: Int64, isRetransmission: Bool = false) {
        put(
            sequence, UInt32(sequence) &* 160, Array(repeating: UInt8(truncatingIfNeeded: sequence), count: 160),
            type: 0, at: milliseconds, isRetransmission: isRetransmission)
    }

    mutating func advance(_ milliseconds: Int64) {
        var out = Outbox<ReceiveEvent, RTPTrace>()
        let now = Instant.zero + .milliseconds(milliseconds)
        stream.advance(to: now, into: &out)
        if let next = stream.deadline, next <= now { Issue.record("deadline not in the future") }
        take(out)
    }

    private mutating func take(_ out: Outbox<ReceiveEvent, RTPTrace>) {
        trace += out.trace
        for event in out.events {
            switch event {
            case .frame(let frame): frames.append(frame)
            case .sendNACK(let numbers): nacks.append(numbers.map(\.rawValue))
            case .requestKeyframe(let reason): requests.append(reason)
            case .telephoneEvent(let event): tones.append(event)
            case .captureTime(let ntp, let timestamp): captures.append((ntp, timestamp))
            }
        }
    }
}
