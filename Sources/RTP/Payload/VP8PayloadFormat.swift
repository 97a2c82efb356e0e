import Primitives

/// RTP payload format for VP8 (RFC 7741), sending side: one frame becomes packets of nearly equal size, each with a
/// descriptor of four bytes that holds a picture id of fifteen bits.
public struct VP8PayloadFormat: Hashable, Sendable {
    /// Id of the next frame; counts modulo 2¹⁵.
    public private(set) var pictureID: UInt16

    /// Bytes of the descriptor written.
    public static let descriptorLength = 4

    public init(pictureID: UInt16) { self.pictureID = pictureID & 0x7FFF }

    /// Uses up a picture id.
    mutating func takePictureID() -> UInt16 {
        defer { pictureID = (pictureID + 1) & 0x7FFF }
        return pictureID
    }

    /// The payloads of one frame, each at most `maximumPayload` bytes (at least 5). The last one gets the marker bit.
    public mutating func packetize(_ frame: [UInt8], maximumPayload: Int) -> [[UInt8]] {
        let id = takePictureID()
        let plan = FragmentPlan(length: frame.count, maximum: maximumPayload - Self.descriptorLength)
        return (0..<plan.count).map { index in
            let range = plan.range(of: index)
            var payload: [UInt8] = []
            payload.reserveCapacity(range.count + Self.descriptorLength)
            payload.append(Self.descriptor(pictureID: id, isFirst: index == 0))
            payload.append(contentsOf: frame[range])
            return payload
        }
    }

    /// X, S on the first packet; I; M and the picture id.
    static func descriptor(pictureID: UInt16, isFirst: Bool) -> UInt32 {
        (isFirst ? 0x9080_8000 as UInt32 : 0x8080_8000) | UInt32(pictureID & 0x7FFF)
    }
}

/// How a frame is cut: as few pieces as possible, sizes that differ by one byte at most.
struct FragmentPlan: Hashable, Sendable {
    let length: Int
    let count: Int

    init(length: Int, maximum: Int) {
        let room = Swift.max(1, maximum)
        self.length = length
        count = length / room + (length % room == 0 ? 0 : 1)
    }

    func range(of index: Int) -> Range<Int> {
        guard count > 0 else { return 0..<0 }
        let (size, larger) = length.quotientAndRemainder(dividingBy: count)
        let start = index * size + Swift.min(index, larger)
        return start..<start + size + (index < larger ? 1 : 0)
    }
}
