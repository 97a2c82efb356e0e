extension SessionDescription {
    /// Caps on what a parser takes from the network. Real offers of conference servers reach about 100 sections and
    /// 200 KiB; the standard caps stand a little above that.
    public struct Limits: Hashable, Sendable {
        /// Bytes of UTF-8 in the whole description.
        public var bytes: Int
        /// Bytes of one line, its end not counted.
        public var lineBytes: Int
        public var lines: Int
        public var mediaSections: Int
        /// `a=` lines in one section, the session's own among them.
        public var attributesPerSection: Int

        public init(
            bytes: Int = 512 << 10, lineBytes: Int = 8 << 10, lines: Int = 16_384, mediaSections: Int = 256,
            attributesPerSection: Int = 2_048
        ) {
            self.bytes = bytes
            self.lineBytes = lineBytes
            self.lines = lines
            self.mediaSections = mediaSections
            self.attributesPerSection = attributesPerSection
        }

        public static let standard = Limits()
    }
}
