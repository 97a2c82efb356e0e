extension VideoFrame {
    /// The picture turned clockwise by so many quarters of a turn.
    func turned(quarters: UInt8) -> VideoFrame {
        let quarters = quarters & 3
        guard quarters != 0 else { return self }
        var turned: [UInt8] = []
        turned.reserveCapacity(bytes.count)
        for (plane, shift) in [(lumaRange, 0), (cbRange, 1), (crRange, 1)] {
            append(plane.lowerBound, width >> shift, height >> shift, quarters, to: &turned)
        }
        let isSideways = quarters != 2
        return VideoFrame(
            width: isSideways ? height : width, height: isSideways ? width : height, bytes: turned, time: time) ?? self
    }

    /// Reads a plane in the order in which its turned picture is written.
    private func append(_ start: Int, _ width: Int, _ height: Int, _ quarters: UInt8, to turned: inout [UInt8]) {
        switch quarters {
        case 1:
            for column in 0..<width {
                for row in stride(from: height - 1, through: 0, by: -1) {
                    turned.append(bytes[start + row * width + column])
                }
            }
        case 2:
            for index in stride(from: width * height - 1, through: 0, by: -1) { turned.append(bytes[start + index]) }
        default:
            for column in stride(from: width - 1, through: 0, by: -1) {
                for row in 0..<height { turned.append(bytes[start + row * width + column]) }
            }
        }
    }
}
