import Primitives

/// The moving part of the test pattern. Rows are cut from a texture made once, so that a picture costs a few hundred copies.
struct Stripes {
    private let size: VideoSize
    private let lumaTexture: [UInt8]
    private let chromaTexture: [UInt8]
    private static let period = 256

    init(size: VideoSize) {
        self.size = size
        // A triangle wave from 40 to 168 under a finer one, so that there is detail to code.
        lumaTexture = (0..<size.width + Stripes.period).map { x in
            let coarse = abs(x % Stripes.period - 128)
            let fine = abs(x % 16 - 8) * 3
            return UInt8(40 + coarse + fine)
        }
        chromaTexture = (0..<size.width / 2 + Stripes.period).map { x in
            UInt8(80 + abs(x % Stripes.period - 128) * 3 / 4)
        }
    }

    func frame(number: Int64, time: TimeDelta) -> VideoFrame? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(VideoFrame.byteCount(width: size.width, height: size.height))
        let shift = Int(number % 64) * 4
        for y in 0..<size.height {
            let offset = (shift + y) % Stripes.period
            bytes.append(contentsOf: lumaTexture[offset..<offset + size.width])
        }
        for plane in 0..<2 {
            for y in 0..<size.height / 2 {
                let offset = (plane == 0 ? shift + y : 2 * Stripes.period - shift + y * 2) % Stripes.period
                bytes.append(contentsOf: chromaTexture[offset..<offset + size.width / 2])
            }
        }
        drawBox(number, into: &bytes)
        let scale = Swift.max(1, size.height / 120)
        let cell = BitmapFont.lineHeight * scale
        write("\(number)", line: scale * 4, scale: scale, into: &bytes)
        write(Stripes.timecode(time), line: scale * 4 + cell, scale: scale, into: &bytes)
        return VideoFrame(width: size.width, height: size.height, bytes: bytes, time: time)
    }

    /// `01:23:45.678`
    static func timecode(_ time: TimeDelta) -> String {
        func padded(_ value: Int64, _ digits: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: Swift.max(0, digits - text.count)) + text
        }
        let total = (time.nanoseconds + 500_000) / 1_000_000
        return padded(total / 3_600_000, 2) + ":" + padded(total / 60_000 % 60, 2) + ":"
            + padded(total / 1_000 % 60, 2) + "." + padded(total % 1_000, 3)
    }

    private func drawBox(_ number: Int64, into bytes: inout [UInt8]) {
        let side = Swift.max(2, size.height / 6)
        func bounce(_ step: Int64, _ room: Int) -> Int {
            guard room > 0 else { return 0 }
            let place = Int(step % Int64(2 * room))
            return place < room ? place : 2 * room - place
        }
        let left = bounce(number * 5, size.width - side)
        let top = bounce(number * 3, size.height - side)
        guard left >= 0, top >= 0, left + side <= size.width else { return }
        for y in top..<Swift.min(top + side, size.height) {
            let dark = (y - top) * 4 / side % 2 == 0
            bytes.replaceSubrange(
                y * size.width + left..<y * size.width + left + side,
                with: repeatElement(dark ? 30 : 200, count: side))
        }
    }

    private func write(_ text: String, line: Int, scale: Int, into bytes: inout [UInt8]) {
        let left = scale * 4
        for dotRow in 0..<BitmapFont.lineHeight {
            var row: [UInt8] = []
            for dot in BitmapFont.dots(of: text, row: dotRow) {
                row.append(contentsOf: repeatElement(dot ? 220 : 16, count: scale))
            }
            let room = Swift.max(0, size.width - left)
            if row.count > room { row.removeLast(row.count - room) }
            for y in line + dotRow * scale..<line + (dotRow + 1) * scale where y < size.height {
                let start = y * size.width + left
                bytes.replaceSubrange(start..<start + row.count, with: row)
            }
        }
    }
}

/// Digits, colon and point in 5 by 7 dots, in cells of 6 by 9.
enum BitmapFont {
    static let lineHeight = 9

    static func dots(of text: String, row: Int) -> [Bool] {
        var dots = [false]
        for character in text {
            let glyph = glyphs[character] ?? []
            let bits = (1...7).contains(row) && glyph.count == 7 ? glyph[row - 1] : 0
            for column in 0..<5 { dots.append(bits & (0x10 >> column) != 0) }
            dots.append(false)
        }
        return dots
    }

    private static let glyphs: [Character: [UInt8]] = [
        "0": [0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E],
        "1": [0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E],
        "2": [0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F],
        "3": [0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E],
        "4": [0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02],
        "5": [0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E],
        "6": [0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E],
        "7": [0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
        "8": [0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E],
        "9": [0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C],
        ":": [0x00, 0x0C, 0x0C, 0x00, 0x0C, 0x0C, 0x00],
        ".": [0x00, 0x00, 0x00, 0x00, 0x00, 0x0C, 0x0C],
    ]
}
