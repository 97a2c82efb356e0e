import Foundation
import Testing

/// A TCP relay to a port of loopback that can be made to fail like a network: connections reset and refused, or kept while
/// nothing passes.
final class TroubledRelay: Sendable {
    enum Trouble: String, Sendable, CaseIterable { case cut, stall }

    let port: Int
    private let program: Program
    private let input = Pipe()

    init(to target: Int, scratch: Scratch) async throws {
        ignoreBrokenPipes
        program = try Program(
            tool("python3"), ["-u", "-c", Self.source, "\(target)"], scratch: scratch, input: input)
        guard await holds(within: 20, { [program] in program.output.hasSuffix("\n") }),
            let port = Int(program.output.prefix { $0 != "\n" })
        else { throw RoomServer.Failure.didNotStart(program.output) }
        self.port = port
    }

    func make(_ trouble: Trouble) { say(trouble.rawValue) }

    /// New connections pass again; those that stalled never do.
    func mend() { say("mend") }

    func stop() async {
        try? input.fileHandleForWriting.close()
        _ = await program.ended(within: 10)
    }

    private func say(_ word: String) { try? input.fileHandleForWriting.write(contentsOf: Data((word + "\n").utf8)) }

    private static let source = """
        import asyncio, socket, struct, sys

        state, writers = "mend", set()

        async def pump(reader, writer, born):
            while data := await reader.read(65536):
                while state == "stall" or born["stalled"]:
                    born["stalled"] = True
                    await asyncio.sleep(3600)
                writer.write(data)
                await writer.drain()

        async def accept(reader, writer):
            if state != "mend":
                return writer.transport.abort()
            there, onward = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
            born = {"stalled": False}
            writers.update((writer, onward))
            await asyncio.wait(
                [asyncio.create_task(pump(reader, onward, born)), asyncio.create_task(pump(there, writer, born))],
                return_when=asyncio.FIRST_COMPLETED)
            for one in (writer, onward):
                writers.discard(one)
                one.transport.abort()

        async def main():
            global state
            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            print(server.sockets[0].getsockname()[1])
            loop = asyncio.get_running_loop()
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                state = line.strip()
                if state == "cut":
                    for one in list(writers):
                        one.transport.abort()
            for one in list(writers):
                one.transport.abort()

        asyncio.run(main())
        """
}
