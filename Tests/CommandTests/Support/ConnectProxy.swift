import Foundation
import Testing

/// An HTTP proxy that knows CONNECT only. Every name leads to 127.0.0.1, as if only the proxy could look names up.
final class ConnectProxy: Sendable {
    let port: Int
    private let program: Program
    private let input = Pipe()

    /// - Parameters:
    ///   - login: `user:password` that it asks for.
    ///   - answer: a status line that it refuses everything with.
    init(login: String = "", answer: String = "", scratch: Scratch) async throws {
        ignoreBrokenPipes
        program = try Program(
            tool("python3"), ["-u", "-c", Self.source], scratch: scratch, input: input,
            environment: ["PROXY_LOGIN": login, "PROXY_ANSWER": answer])
        guard await holds(within: 20, { [program] in program.output.contains("\n") }),
            let port = Int(program.output.prefix { $0 != "\n" })
        else { throw RoomServer.Failure.didNotStart(program.output) }
        self.port = port
    }

    /// What it was asked for so far.
    var targets: [String] { program.output.split(separator: "\n").dropFirst().map(String.init) }

    func stop() async {
        try? input.fileHandleForWriting.close()
        _ = await program.ended(within: 10)
    }

    private static let source = """
        import asyncio, base64, os, sys

        login, refusal = os.environ["PROXY_LOGIN"], os.environ["PROXY_ANSWER"]

        async def pump(reader, writer):
            try:
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            finally:
                writer.close()

        async def accept(reader, writer):
            lines = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().split("\\r\\n")
            verb, target, _ = lines[0].split(" ")
            print(target)
            proof = "Proxy-Authorization: Basic " + base64.b64encode(login.encode()).decode()
            if refusal:
                answer = refusal
            elif login and proof not in lines:
                answer = '407 Proxy Authentication Required\\r\\nProxy-Authenticate: Basic realm="tests"'
            else:
                answer = ""
            if not answer and verb == "CONNECT":
                try:
                    there, onward = await asyncio.open_connection("127.0.0.1", int(target.rsplit(":", 1)[1]))
                except OSError:
                    answer = "502 Bad Gateway"
            if answer:
                writer.write(f"HTTP/1.1 {answer}\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
                return writer.close()
            writer.write(b"HTTP/1.1 200 Connection established\\r\\n\\r\\n")
            await asyncio.gather(pump(reader, onward), pump(there, writer), return_exceptions=True)

        async def main():
            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            print(server.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            os._exit(0)

        asyncio.run(main())
        """
}
