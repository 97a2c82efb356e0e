import Foundation
import Testing

/// `postern serve` on a free port of loopback.
struct RoomServer: Sendable {
    enum Failure: Error { case didNotStart(String) }

    let program: Program
    let port: Int

    /// Ready when it returns.
    static func start(_ arguments: [String] = [], scratch: Scratch, environment: [String: String] = [:]) async throws
        -> RoomServer
    {
        let program = try Program(
            posternPath, ["serve", "--listen", "127.0.0.1:0"] + arguments, scratch: scratch, environment: environment)
        // The page's address is the one thing it writes: http://127.0.0.1:PORT/
        guard await holds(within: 20, { program.output.contains("/\n") }),
            let port = program.output.firstMatch(of: /:(\d+)\/\n/).flatMap({ Int($0.1) })
        else {
            program.signal(SIGKILL)
            throw Failure.didNotStart(await program.ended().errors)
        }
        return RoomServer(program: program, port: port)
    }

    func room(_ name: String, port: Int? = nil) -> String { "ws://127.0.0.1:\(port ?? self.port)/room/\(name)" }

    /// Asks it to stop, as a service manager does.
    func stop(sourceLocation: SourceLocation = #_sourceLocation) async -> Ended {
        program.signal(SIGTERM)
        return await program.ended(within: 20, sourceLocation: sourceLocation)
    }
}

/// Whether something holds before the time is up; looked at ten times a second.
func holds(within seconds: Double, _ condition: () -> Bool) async -> Bool {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(seconds)
    while !condition() {
        guard clock.now < deadline, (try? await Task.sleep(for: .milliseconds(100))) != nil else { return condition() }
    }
    return true
}
