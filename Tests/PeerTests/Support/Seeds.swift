import Foundation

/// Seeds for scenarios. `SIM_SEED` replaces them by one, to replay a failure, whose message names its seed.
enum Seeds {
    /// `few` seeds in the normal run; `many` in a soak.
    static func some(_ few: Int, soak many: Int? = nil) -> [UInt64] {
        if let text = ProcessInfo.processInfo.environment["SIM_SEED"], let seed = UInt64(text) { return [seed] }
        return (1...UInt64(isSoak ? many ?? few * 10 : few)).map { $0 }
    }

    /// Whether this is the long run of `Scripts/soak`.
    static let isSoak = ProcessInfo.processInfo.environment["POSTERN_SOAK"] != nil
}
