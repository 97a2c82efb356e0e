import Primitives

/// Where the header extension of a packet lies (RFC 8285). Elements are found in the packet on demand, in the one-byte
/// and in the two-byte form, without allocation. The form may change from packet to packet (`extmap-allow-mixed`).
public struct RTPHeaderExtensions: Hashable, Sendable {
    /// The "defined by profile" field: 0xBEDE is the one-byte form, 0x1000...0x100F the two-byte form.
    public var profile: UInt16
    /// The elements, without the four bytes before them.
    public var range: Range<Int>

    @inlinable public init(profile: UInt16, range: Range<Int>) {
        self.profile = profile
        self.range = range
    }

    public static let none = RTPHeaderExtensions(profile: 0, range: 0..<0)

    @inlinable public var isEmpty: Bool { range.isEmpty }

    /// The data of the first element with this id; an element of zero length gives an empty range.
    ///
    /// A one-byte form ends at id 15, and at id 0 with a length (RFC 8285 §4.2). An element that runs over the end
    /// ends the search.
    @inlinable public func find(_ id: UInt8, in bytes: borrowing Span<UInt8>) -> Range<Int>? {
        guard id != 0 else { return nil }
        var cursor = Cursor(self, count: bytes.count)
        while let (found, data) = cursor.next(in: bytes) { if found == id { return data } }
        return nil
    }

    @inlinable public func find(_ id: UInt8, in bytes: [UInt8]) -> Range<Int>? { find(id, in: bytes.span) }

    /// Every element in order: its id and where its data lies.
    @inlinable public func forEach(in bytes: borrowing Span<UInt8>, _ body: (UInt8, Range<Int>) -> Void) {
        var cursor = Cursor(self, count: bytes.count)
        while let (id, data) = cursor.next(in: bytes) { body(id, data) }
    }

    @inlinable public func forEach(in bytes: [UInt8], _ body: (UInt8, Range<Int>) -> Void) {
        forEach(in: bytes.span, body)
    }
}

extension RTPHeaderExtensions {
    /// Walks the elements; ends at the first thing that is not one.
    @usableFromInline struct Cursor {
        @usableFromInline var offset: Int
        @usableFromInline let end: Int
        @usableFromInline let isOneByte: Bool

        @inlinable init(_ extensions: RTPHeaderExtensions, count: Int) {
            isOneByte = extensions.profile == 0xBEDE
            let isKnown = isOneByte || extensions.profile & 0xFFF0 == 0x1000
            offset = extensions.range.lowerBound
            end = isKnown && offset >= 0 ? Swift.min(extensions.range.upperBound, count) : Int.min
        }

        @inlinable mutating func next(in bytes: borrowing Span<UInt8>) -> (UInt8, Range<Int>)? {
            while offset < end {
                let first = bytes[offset]
                if first == 0 {
                    offset += 1
                    continue
                }
                let id: UInt8
                let length: Int
                let data: Int
                if isOneByte {
                    id = first >> 4
                    guard id != 15, id != 0 else { break }
                    length = Int(first & 0x0F) + 1
                    data = offset + 1
                } else {
                    id = first
                    guard offset + 1 < end else { break }
                    length = Int(bytes[offset + 1])
                    data = offset + 2
                }
                guard length <= end - data else { break }
                offset = data + length
                return (id, data..<offset)
            }
            offset = end
            return nil
        }
    }
}

/// One element to write: an id of 1...14 (one-byte form) or 1...255, and its data.
public struct HeaderExtensionElement: Hashable, Sendable {
    public var id: UInt8
    public var data: [UInt8]

    public init(id: UInt8, data: [UInt8]) {
        self.id = id
        self.data = data
    }
}

extension RTPHeaderExtensions {
    /// Appends a header extension, padded to four bytes: the one-byte form where every element fits it, else the
    /// two-byte form. Data over 255 bytes is cut. Appends nothing for no elements.
    /// - Parameter forcesTwoByte: the two-byte form whatever the elements, for streams that need it for some packets and
    ///   may not mix (RFC 8285 §4.1.2).
    /// - Returns: where the data of each element lies in `bytes`.
    @discardableResult
    public static func write(
        _ elements: [HeaderExtensionElement], forcesTwoByte: Bool = false, into bytes: inout [UInt8]
    ) -> [Range<Int>] {
        if elements.isEmpty { return [] }
        let isOneByte =
            !forcesTwoByte
            && elements.allSatisfy { (1...14).contains($0.id) && (1...16).contains($0.data.count) }
        var ranges: [Range<Int>] = []
        bytes.append(isOneByte ? 0xBEDE as UInt16 : 0x1000)
        let lengthOffset = bytes.count
        bytes.append(0 as UInt16)
        for element in elements {
            let data = element.data.prefix(255)
            if isOneByte {
                bytes.append(element.id << 4 | UInt8(truncatingIfNeeded: data.count - 1))
            } else {
                bytes.append(element.id)
                bytes.append(UInt8(truncatingIfNeeded: data.count))
            }
            ranges.append(bytes.count..<bytes.count + data.count)
            bytes.append(contentsOf: data)
        }
        while (bytes.count - lengthOffset - 2) % 4 != 0 { bytes.append(0 as UInt8) }
        bytes.overwrite(UInt16(truncatingIfNeeded: (bytes.count - lengthOffset - 2) / 4), at: lengthOffset)
        return ranges
    }
}
