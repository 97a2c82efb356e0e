/// Width and height in pixels.
public struct VideoSize: Sendable, Hashable, CustomStringConvertible {
    public var width: Int
    public var height: Int

    public init(_ width: Int, _ height: Int) {
        self.width = width
        self.height = height
    }

    /// `640x480`; `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "x", omittingEmptySubsequences: false)
        guard parts.count == 2, let width = Int(parts[0]), let height = Int(parts[1]), width > 0, height > 0 else {
            return nil
        }
        self.init(width, height)
    }

    public var description: String { "\(width)x\(height)" }

    /// The largest even size of the same shape inside `bounds`, this size itself where it fits.
    func fitted(inside bounds: VideoSize) -> VideoSize {
        let scale = Swift.min(
            1, Double(bounds.width) / Double(width), Double(bounds.height) / Double(height))
        if scale == 1 { return VideoSize(Swift.max(2, width & ~1), Swift.max(2, height & ~1)) }
        return scaled(by: scale, inside: bounds)
    }

    /// The largest even size of the same shape that touches `bounds` from inside, enlarged where it is smaller.
    func stretched(to bounds: VideoSize) -> VideoSize {
        let scale = Swift.min(Double(bounds.width) / Double(width), Double(bounds.height) / Double(height))
        return scaled(by: scale, inside: bounds)
    }

    private func scaled(by scale: Double, inside bounds: VideoSize) -> VideoSize {
        func even(_ length: Int, _ bound: Int) -> Int {
            let nearest = Int((Double(length) * scale / 2).rounded()) * 2
            return Swift.max(2, Swift.min(nearest, bound & ~1))
        }
        return VideoSize(even(width, bounds.width), even(height, bounds.height))
    }
}
