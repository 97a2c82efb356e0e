import Foundation
import Synchronization
import Testing

/// What came of a process.
struct Ended: Sendable {
    /// The exit code, or the number of the signal that ended it.
    var status: Int32
    var wasSignalled: Bool
    var output: String
    var errors: String
}

/// A process, started. What it writes goes to files or to a pipe, so that it never waits for its reader.
final class Program: Sendable {
    enum Failure: Error { case missingTool(String) }

    private let process = Process()
    private let name: String
    private let outputFile: String?
    private let errorFile: String
    private let end: AsyncStream<Void>

    /// - Parameters:
    ///   - input: what its standard input is; nothing unless given.
    ///   - output: where its standard output goes; to a file of the scratch folder unless given.
    init(
        _ executable: String, _ arguments: [String], scratch: Scratch, input: Pipe? = nil, output: Pipe? = nil,
        environment: [String: String] = [:]
    ) throws {
        let id = UUID().uuidString.prefix(8)
        name = (executable as NSString).lastPathComponent
        errorFile = scratch.file(".\(name)-\(id).stderr")
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input ?? FileHandle.nullDevice
        if let output {
            outputFile = nil
            process.standardOutput = output
        } else {
            let file = scratch.file(".\(name)-\(id).stdout")
            outputFile = file
            process.standardOutput = try Self.fileHandle(file)
        }
        process.standardError = try Self.fileHandle(errorFile)
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        end = stream
        process.terminationHandler = { _ in continuation.finish() }
        try process.run()
    }

    private static func fileHandle(_ path: String) throws -> FileHandle {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    }

    /// What it wrote to standard output and error so far.
    var output: String { outputFile.flatMap { try? String(contentsOfFile: $0, encoding: .utf8) } ?? "" }
    var errors: String { (try? String(contentsOfFile: errorFile, encoding: .utf8)) ?? "" }

    /// Waits for its end. A process that outlives the limit is a failure of the test, and killed.
    func ended(within seconds: Int = 60, sourceLocation: SourceLocation = #_sourceLocation) async -> Ended {
        let identifier = process.processIdentifier
        let watchdog = Task { [name, process] in
            try await Task.sleep(for: .seconds(seconds))
            guard process.isRunning else { return }
            Issue.record("\(name) did not end within \(seconds) s", sourceLocation: sourceLocation)
            kill(identifier, SIGKILL)
        }
        for await _ in end {}
        watchdog.cancel()
        process.waitUntilExit()
        return Ended(
            status: process.terminationStatus, wasSignalled: process.terminationReason == .uncaughtSignal,
            output: output, errors: errors)
    }

    /// Sends it a signal, if it still runs.
    func signal(_ number: Int32) {
        if process.isRunning { kill(process.processIdentifier, number) }
    }
}

/// The program under test, beside the bundle of these tests.
let posternPath =
    URL(fileURLWithPath: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
    .deletingLastPathComponent().appendingPathComponent("postern").path

/// Where a tool is. A tool that is missing fails the test: `Scripts/setup test` installs them all.
func tool(_ name: String) throws -> String {
    for folder in (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":") {
        let path = folder + "/" + name
        if FileManager.default.isExecutableFile(atPath: String(path)) { return String(path) }
    }
    Issue.record("\(name) is not installed; run Scripts/setup test")
    throw Program.Failure.missingTool(name)
}

/// Runs `postern`. Calls take a place among the few that may run at once.
func postern(
    _ arguments: [String], scratch: Scratch, environment: [String: String] = [:],
    sourceLocation: SourceLocation = #_sourceLocation
) async throws -> Ended {
    try await Places.calls.taking {
        try await Program(posternPath, arguments, scratch: scratch, environment: environment)
            .ended(sourceLocation: sourceLocation)
    }
}

/// Runs a tool that must succeed, and gives what it wrote.
@discardableResult
func run(_ name: String, _ arguments: [String], scratch: Scratch) async throws -> Ended {
    let ended = await (try Program(tool(name), arguments, scratch: scratch)).ended()
    #expect(ended.status == 0, "\(name) \(arguments.joined(separator: " ")): \(ended.errors.suffix(600))")
    return ended
}

/// How many may do something at once. Calls in real time are let in few at a time, so that they do not make each other late.
actor Places {
    static let calls = Places(3)
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func taking<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
