/// The name of a room: 1 to 64 of `A-Z a-z 0-9 . _ -`, so that it is itself in a path, a log and a file name.
public enum RoomName {
    public static let maximumLength = 64

    public static func isValid(_ name: some StringProtocol) -> Bool {
        (1...maximumLength).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// The room of a path `/room/NAME`; `nil` where it is none.
    public static func inPath(_ path: some StringProtocol) -> String? {
        guard path.hasPrefix("/room/") else { return nil }
        let name = path.dropFirst("/room/".count)
        return isValid(name) ? String(name) : nil
    }
}
