import Foundation
import Testing

/// That a run ended as documented: with this exit code and not by a signal, with words on standard error that a person can
/// use, and nothing that looks like a crash.
func expectFailure(
    _ ended: Ended, _ status: Int32, saying words: [String] = [], _ what: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(!ended.wasSignalled, "\(what) signal \(ended.status): \(ended.errors)", sourceLocation: sourceLocation)
    #expect(ended.status == status, "\(what) \(ended.errors)", sourceLocation: sourceLocation)
    #expect(!ended.errors.isEmpty, "\(what) says nothing", sourceLocation: sourceLocation)
    for word in ["Fatal error", "Swift/", "Stack dump", "Optional(", "NSCocoaErrorDomain"] {
        #expect(!ended.errors.contains(word), "\(what) \(ended.errors)", sourceLocation: sourceLocation)
    }
    for word in words {
        #expect(
            ended.errors.contains(word), "\(what): no \"\(word)\" in \(ended.errors)", sourceLocation: sourceLocation)
    }
}

/// Runs `postern` without root's right to read and write what the permissions forbid. Others have none to lose.
func posternWithoutPrivileges(_ arguments: [String], scratch: Scratch) async throws -> Ended {
    guard geteuid() == 0 else { return try await postern(arguments, scratch: scratch) }
    return try await Places.calls.taking {
        try await Program(
            tool("setpriv"), ["--bounding-set=-dac_override,-dac_read_search", "--", posternPath] + arguments,
            scratch: scratch
        ).ended()
    }
}

/// Runs a shell script in a mount namespace of its own, in which it may mount what nobody else sees.
func inMountNamespace(_ script: String, _ arguments: [String], scratch: Scratch) async throws -> Ended {
    try await Places.calls.taking {
        try await Program(
            tool("unshare"), ["--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh"] + arguments,
            scratch: scratch
        ).ended()
    }
}
