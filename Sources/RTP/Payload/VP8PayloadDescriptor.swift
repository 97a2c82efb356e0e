import Primitives

/// The VP8 payload descriptor (RFC 7741 §4.2), in every form.
public struct VP8PayloadDescriptor: Hashable, Sendable {
    /// N: no other frame needs this one.
    public var isNonReference: Bool
    /// S: the payload begins a VP8 partition.
    public var startsPartition: Bool
    /// PID: index of the partition, 0...7.
    public var partition: UInt8
    /// Seven or fifteen bits.
    public var pictureID: UInt16?
    /// M: the picture id takes fifteen bits.
    public var hasLongPictureID: Bool
    public var temporalLevelZeroIndex: UInt8?
    /// TID: 0...3.
    public var temporalLayer: UInt8?
    /// Y: this frame depends on the base layer only.
    public var isLayerSync: Bool
    /// KEYIDX: 0...31.
    public var keyIndex: UInt8?

    public init(
        isNonReference: Bool = false, startsPartition: Bool, partition: UInt8 = 0, pictureID: UInt16? = nil,
        hasLongPictureID: Bool = true, temporalLevelZeroIndex: UInt8? = nil, temporalLayer: UInt8? = nil,
        isLayerSync: Bool = false, keyIndex: UInt8? = nil
    ) {
        self.isNonReference = isNonReference
        self.startsPartition = startsPartition
        self.partition = partition & 7
        self.pictureID = pictureID
        self.hasLongPictureID = hasLongPictureID
        self.temporalLevelZeroIndex = temporalLevelZeroIndex
        self.temporalLayer = temporalLayer
        self.isLayerSync = isLayerSync
        self.keyIndex = keyIndex
    }

    /// Whether the payload begins a frame.
    public var startsFrame: Bool { startsPartition && partition == 0 }

    /// Reads the descriptor at the beginning of a payload.
    /// - Returns: in `dataRange` the VP8 bytes after it; never empty.
    /// - Throws: `RTPError.truncated` when the descriptor or the data is missing.
    public init(parsing bytes: [UInt8], in range: Range<Int>, dataRange: inout Range<Int>) throws(RTPError) {
        let end = Swift.min(range.upperBound, bytes.count)
        var at = Swift.max(0, range.lowerBound)
        guard at < end else { throw .truncated(offset: at) }
        let first = bytes[at]
        at += 1
        isNonReference = first & 0x20 != 0
        startsPartition = first & 0x10 != 0
        partition = first & 0x07
        pictureID = nil
        hasLongPictureID = false
        temporalLevelZeroIndex = nil
        temporalLayer = nil
        isLayerSync = false
        keyIndex = nil
        if first & 0x80 != 0 {
            guard at < end else { throw .truncated(offset: at) }
            let extended = bytes[at]
            at += 1
            if extended & 0x80 != 0 {
                guard at < end else { throw .truncated(offset: at) }
                hasLongPictureID = bytes[at] & 0x80 != 0
                pictureID = UInt16(bytes[at] & 0x7F)
                at += 1
                if hasLongPictureID {
                    guard at < end else { throw .truncated(offset: at) }
                    pictureID = UInt16(bytes[at - 1] & 0x7F) << 8 | UInt16(bytes[at])
                    at += 1
                }
            }
            if extended & 0x40 != 0 {
                guard at < end else { throw .truncated(offset: at) }
                temporalLevelZeroIndex = bytes[at]
                at += 1
            }
            if extended & 0x30 != 0 {
                guard at < end else { throw .truncated(offset: at) }
                let field = bytes[at]
                at += 1
                if extended & 0x20 != 0 {
                    temporalLayer = field >> 6
                    isLayerSync = field & 0x20 != 0
                }
                if extended & 0x10 != 0 { keyIndex = field & 0x1F }
            }
        }
        guard at < end else { throw .truncated(offset: at) }
        dataRange = at..<end
    }

    public func write(into bytes: inout [UInt8]) {
        let hasLayer = temporalLayer != nil || keyIndex != nil
        let isExtended = pictureID != nil || temporalLevelZeroIndex != nil || hasLayer
        var first = partition & 7
        if isExtended { first |= 0x80 }
        if isNonReference { first |= 0x20 }
        if startsPartition { first |= 0x10 }
        bytes.append(first)
        guard isExtended else { return }
        var extended: UInt8 = 0
        if pictureID != nil { extended |= 0x80 }
        if temporalLevelZeroIndex != nil { extended |= 0x40 }
        if temporalLayer != nil { extended |= 0x20 }
        if keyIndex != nil { extended |= 0x10 }
        bytes.append(extended)
        if let pictureID {
            if hasLongPictureID {
                bytes.append(0x8000 | (pictureID & 0x7FFF))
            } else {
                bytes.append(UInt8(truncatingIfNeeded: pictureID & 0x7F))
            }
        }
        if let temporalLevelZeroIndex { bytes.append(temporalLevelZeroIndex) }
        if hasLayer {
            bytes.append((temporalLayer ?? 0) << 6 | (isLayerSync ? 0x20 : 0) | ((keyIndex ?? 0) & 0x1F))
        }
    }
}

/// The beginning of a VP8 frame (RFC 6386 §9.1), as much as a receiver needs without decoding.
public struct VP8FrameHeader: Hashable, Sendable {
    public var isKeyframe: Bool
    /// Pixels; known for keyframes only.
    public var width: Int?
    public var height: Int?

    /// `nil` for no bytes at all.
    public init?(parsing bytes: [UInt8], in range: Range<Int>) {
        let end = Swift.min(range.upperBound, bytes.count)
        let at = range.lowerBound
        guard at >= 0, at < end else { return nil }
        isKeyframe = bytes[at] & 1 == 0
        guard isKeyframe, end - at >= 10, bytes[at + 3] == 0x9D, bytes[at + 4] == 0x01, bytes[at + 5] == 0x2A else {
            return
        }
        width = Int(bytes[at + 6]) | Int(bytes[at + 7] & 0x3F) << 8
        height = Int(bytes[at + 8]) | Int(bytes[at + 9] & 0x3F) << 8
    }
}
