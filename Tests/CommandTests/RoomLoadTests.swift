import Foundation
import Testing

/// `Scripts/room-load` in short: many calls answered at once, a client of old times, abuse. The long form is a command.
@Suite(.timeLimit(.minutes(10))) struct RoomLoadTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test(arguments: [
        ["many", "--calls", "4", "--seconds", "5"], ["old,again"], ["abuse", "--connections", "1500"],
    ]) func aServerBears(_ arguments: [String]) async throws {
        let ended = try await Places.calls.taking { [scratch] in
            try await Program(
                tool("python3"),
                [Fixture.script("room-load"), "--postern", posternPath, "--out", scratch.file("out"), "--only"]
                    + arguments, scratch: scratch
            ).ended(within: 240)
        }
        #expect(ended.status == 0, "\(ended.output)\n\(ended.errors)")
    }
}
