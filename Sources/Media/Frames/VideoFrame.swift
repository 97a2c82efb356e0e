import Primitives

/// A raw picture: 8-bit planar 4:2:0 (I420), limited range, BT.601, of even width and height.
///
/// The planes lie tightly packed in one array: `width * height` bytes of luma, then a quarter of that of Cb, then of Cr.
public struct VideoFrame: Sendable, Hashable {
    public let width: Int
    public let height: Int
    public private(set) var bytes: [UInt8]
    /// Media time of the picture.
    public var time: TimeDelta

    /// The bytes of an I420 picture of even size; `nil` if the size is odd or not positive, or the bytes do not fit it.
    public init?(width: Int, height: Int, bytes: [UInt8], time: TimeDelta = .zero) {
        guard VideoFrame.fits(width, height), bytes.count == VideoFrame.byteCount(width: width, height: height) else {
            return nil
        }
        self.width = width
        self.height = height
        self.bytes = bytes
        self.time = time
    }

    /// A picture of one colour. Odd sizes are cropped to even ones; the least is 2 by 2.
    public init(
        width: Int, height: Int, luma: UInt8 = 16, cb: UInt8 = 128, cr: UInt8 = 128, time: TimeDelta = .zero
    ) {
        self.width = Swift.max(2, Swift.min(width, VideoFrame.longestSide) & ~1)
        self.height = Swift.max(2, Swift.min(height, VideoFrame.longestSide) & ~1)
        self.time = time
        let pixels = self.width * self.height
        bytes = [UInt8](repeating: luma, count: pixels)
        bytes.append(contentsOf: repeatElement(cb, count: pixels / 4))
        bytes.append(contentsOf: repeatElement(cr, count: pixels / 4))
    }

    /// The longest side VP8 can code (RFC 6386 §9.1), made even.
    public static let longestSide = 16_382

    public static func byteCount(width: Int, height: Int) -> Int { width * height * 3 / 2 }

    public var lumaRange: Range<Int> { 0..<width * height }
    public var cbRange: Range<Int> { width * height..<width * height * 5 / 4 }
    public var crRange: Range<Int> { width * height * 5 / 4..<width * height * 3 / 2 }

    /// The mean of the luma plane, 0 to 255.
    public var meanLuma: Double {
        var sum = 0
        for byte in bytes[lumaRange] { sum &+= Int(byte) }
        return Double(sum) / Double(width * height)
    }

    static func fits(_ width: Int, _ height: Int) -> Bool {
        width >= 2 && height >= 2 && width <= longestSide && height <= longestSide && width % 2 == 0 && height % 2 == 0
    }
}
