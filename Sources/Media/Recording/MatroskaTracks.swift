import Primitives

/// The track entries in the header of a Matroska or WebM file (RFC 9559 §5.1.4), found so that they can be changed in place.
struct MatroskaTracks {
    struct Patch: Hashable {
        var offset: Int
        var bytes: [UInt8]
    }

    struct Entry: Hashable {
        /// From the element's ID to its end.
        var range: Range<Int>
        var kind: MediaKind?
        /// Where the numbers PixelWidth and PixelHeight lie.
        var width: Range<Int>?
        var height: Range<Int>?

        /// Makes the entry a Void element (RFC 8794 §11.3.2) of the same length.
        func voided() -> [Patch] {
            guard range.count >= 9 else { return [] }
            // An 8-byte size, 0x01 and seven bytes, so that any length fits.
            var bytes: [UInt8] = [0xEC]
            bytes.append(UInt64(range.count - 9) | 0x0100_0000_0000_0000)
            bytes.append(contentsOf: repeatElement(0, count: range.count - 9))
            return [Patch(offset: range.lowerBound, bytes: bytes)]
        }

        /// Writes the size over the one that is there; nothing where the numbers are too short for it.
        func resized(to size: VideoSize) -> [Patch] {
            guard let width, let height, let w = number(size.width, width.count),
                let h = number(size.height, height.count)
            else { return [] }
            return [Patch(offset: width.lowerBound, bytes: w), Patch(offset: height.lowerBound, bytes: h)]
        }

        private func number(_ value: Int, _ count: Int) -> [UInt8]? {
            guard (1...8).contains(count), value >= 0, count == 8 || value < 1 << (8 * count) else { return nil }
            return (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
        }
    }

    private(set) var entries: [Entry] = []

    /// Reads as far as the bytes go; what is not understood ends the search.
    init(header: [UInt8]) {
        guard let ebml = Element(in: header, at: 0, end: header.count), ebml.id == 0x1A45_DFA3,
            let segment = Element(in: header, at: ebml.end, end: header.count), segment.id == 0x1853_8067
        else { return }
        for child in Element.children(of: segment, in: header) where child.id == 0x1654_AE6B {
            for entry in Element.children(of: child, in: header) where entry.id == 0xAE {
                entries.append(MatroskaTracks.entry(entry, in: header))
            }
        }
    }

    private static func entry(_ element: Element, in bytes: [UInt8]) -> Entry {
        var entry = Entry(range: element.start..<element.end, kind: nil, width: nil, height: nil)
        for child in Element.children(of: element, in: bytes) {
            switch child.id {
            case 0x83: entry.kind = child.body.last.map { bytes[$0] == 1 ? .video : .audio }
            case 0xE0:
                for part in Element.children(of: child, in: bytes) {
                    if part.id == 0xB0 { entry.width = part.body }
                    if part.id == 0xBA { entry.height = part.body }
                }
            default: break
            }
        }
        return entry
    }
}

/// An EBML element (RFC 8794 §6): where it starts, where its content lies.
private struct Element {
    let id: UInt64
    let start: Int
    let body: Range<Int>
    var end: Int { body.upperBound }

    init?(in bytes: [UInt8], at start: Int, end: Int) {
        guard let (id, afterID) = Element.number(in: bytes, at: start, end: end, keepsMarker: true),
            let (size, afterSize) = Element.number(in: bytes, at: afterID, end: end, keepsMarker: false)
        else { return nil }
        let room = UInt64(end - afterSize)
        let isUnknown = size == (UInt64(1) << UInt64(7 * (afterSize - afterID))) - 1
        // A segment's end lies beyond the header read here; anything else must be there as a whole.
        guard isUnknown || size <= room || id == 0x1853_8067 else { return nil }
        self.id = id
        self.start = start
        body = afterSize..<(afterSize + Int(isUnknown ? room : Swift.min(size, room)))
    }

    static func children(of parent: Element, in bytes: [UInt8]) -> [Element] {
        var children: [Element] = []
        var offset = parent.body.lowerBound
        while children.count < 256, let child = Element(in: bytes, at: offset, end: parent.end), child.end > offset {
            children.append(child)
            offset = child.end
        }
        return children
    }

    /// A number of one to eight bytes, whose leading zero bits say how many.
    private static func number(
        in bytes: [UInt8], at start: Int, end: Int, keepsMarker: Bool
    ) -> (UInt64, next: Int)? {
        guard start < end, end <= bytes.count else { return nil }
        let length = bytes[start].leadingZeroBitCount + 1
        guard length <= 8, start + length <= end else { return nil }
        var value = UInt64(bytes[start])
        if !keepsMarker { value &= (1 << UInt64(8 - length)) - 1 }
        for byte in bytes[start + 1..<start + length] { value = value << 8 | UInt64(byte) }
        return (value, start + length)
    }
}
