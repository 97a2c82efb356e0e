/// What others see of our command line (`ps`, `/proc/PID/cmdline`).
enum ProcessTitle {
    /// Overwrites the passwords of `turn:USER:PASSWORD@HOST` and `http://USER:PASSWORD@HOST`. Until here they could be seen: files and variables are better.
    static func hidePasswords() {
        // The first access copies the arguments; what is overwritten afterwards is the process's title only.
        for (index, argument) in CommandLine.arguments.enumerated() {
            let bytes = Array(argument.utf8)
            guard ["turn", "http://"].contains(where: argument.lowercased().contains),
                let at = bytes.lastIndex(of: UInt8(ascii: "@")),
                let colon = bytes[..<at].lastIndex(of: UInt8(ascii: ":")),
                bytes[..<colon].contains(UInt8(ascii: ":"))
            else { continue }
            guard let title = unsafe CommandLine.unsafeArgv[index] else { continue }
            for position in colon + 1..<at { unsafe title[position] = CChar(UInt8(ascii: "*")) }
        }
    }
}
