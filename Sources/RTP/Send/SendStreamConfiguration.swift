import Primitives

/// What a send stream is made of. A renegotiation changes it by `SendStream.adopt`.
public struct SendStreamConfiguration: Hashable, Sendable {
    public struct Retransmission: Hashable, Sendable {
        public var ssrc: SSRC
        public var payloadType: UInt8

        public init(ssrc: SSRC, payloadType: UInt8) {
            self.ssrc = ssrc
            self.payloadType = payloadType
        }
    }

    public var codec: Codec
    public var payloadType: UInt8
    /// Hz.
    public var clockRate: Int
    public var ssrc: SSRC
    /// RFC 4588; `nil` repeats lost packets as they were.
    public var retransmission: Retransmission?
    public var cname: String
    public var mid: String?
    public var extensions: HeaderExtensionMap
    /// Whether packets with one-byte and with two-byte extensions may follow each other (`a=extmap-allow-mixed`).
    public var allowsMixedExtensions: Bool
    /// Payload type for telephone events.
    public var telephoneEventPayloadType: UInt8?
    /// Hz their durations are counted in; the codec's where it is `nil`.
    public var telephoneEventClockRate: Int?
    /// Bytes of a whole RTP packet before SRTP. With SRTP and RTX a datagram stays within 1,200 bytes.
    public var maximumPacketSize: Int
    /// Packets kept for retransmission, rounded up to a power of two; 0 for none.
    public var historyCapacity: Int
    public var historyAge: TimeDelta
    /// Where counting begins, for tests of the wraps. Drawn at random where it is `nil`, as it should be.
    public var firstSequenceNumber: SequenceNumber?
    public var firstTimestamp: RTPTimestamp?

    public init(
        codec: Codec, payloadType: UInt8, clockRate: Int, ssrc: SSRC, retransmission: Retransmission? = nil,
        cname: String, mid: String? = nil, extensions: HeaderExtensionMap = HeaderExtensionMap(),
        allowsMixedExtensions: Bool = true,
        telephoneEventPayloadType: UInt8? = nil, telephoneEventClockRate: Int? = nil, maximumPacketSize: Int = 1_160,
        historyCapacity: Int = 1_024,
        historyAge: TimeDelta = .milliseconds(3_000)
    ) {
        self.codec = codec
        self.payloadType = payloadType
        self.clockRate = clockRate
        self.ssrc = ssrc
        self.retransmission = retransmission
        self.cname = cname
        self.mid = mid
        self.extensions = extensions
        self.allowsMixedExtensions = allowsMixedExtensions
        self.telephoneEventPayloadType = telephoneEventPayloadType
        self.telephoneEventClockRate = telephoneEventClockRate
        self.maximumPacketSize = maximumPacketSize
        self.historyCapacity = historyCapacity
        self.historyAge = historyAge
    }
}
