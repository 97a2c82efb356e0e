import Foundation
import Testing

/// Where a coturn of the tests listens: UDP and TCP, and TLS, and its console.
struct TURNPorts: Sendable {
    var plain: UInt16
    var secure: UInt16
    var console: UInt16

    /// How many allocations it has, as its own console says.
    func sessions(_ scratch: Scratch) async throws -> Int? {
        let source = """
            import socket
            with socket.create_connection(("127.0.0.1", \(console)), 5) as console:
                def until(end):
                    text = b""
                    while end not in text and (more := console.recv(4096)):
                        text += more
                    return text.decode()
                until(b"password:"); console.sendall(b"peek\\r\\n")
                until(b"> "); console.sendall(b"ps\\r\\n")
                print(until(b"Total sessions: ").split("Total sessions: ")[1][0])
            """
        let ended = await (try Program(tool("python3"), ["-c", source], scratch: scratch)).ended(within: 15)
        return Int(ended.output.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Waits until it has none any more, which it may take a moment to notice.
    func areFreed(_ scratch: Scratch) async throws -> Bool {
        for _ in 0..<40 {
            if try await sessions(scratch) == 0 { return true }
            try await Task.sleep(for: .milliseconds(100))
        }
        return false
    }
}

/// Runs `body` beside Debian's coturn on the loopback interface, and gives the server's log. Where there is a `cert.pem` in
/// the scratch folder, it speaks TLS too.
func withTURNServer(
    _ scratch: Scratch, _ arguments: [String], _ body: (TURNPorts) async throws -> Void
) async throws -> String {
    let plain = UInt16.random(in: 15_000...19_999)
    let ports = TURNPorts(plain: plain, secure: plain + 5_000, console: plain + 10_000)
    let log = scratch.file("turnserver-\(plain).log")
    func text() -> String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
    let hasTLS = FileManager.default.fileExists(atPath: scratch.file("cert.pem"))
    let server = try Program(
        tool("turnserver"),
        [
            "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "-p", "\(ports.plain)",
            "--tls-listening-port=\(ports.secure)", "--realm=example.org", "--allow-loopback-peers",
            "--cli-ip=127.0.0.1", "--cli-port=\(ports.console)", "--cli-password=peek", "--no-dtls", "--simple-log",
            "-v", "--log-file=\(log)", "--pidfile=\(scratch.file("pid"))",
            "--userdb=\(scratch.file("db-\(plain)"))", "--min-port=30000", "--max-port=39999",
        ]
            + (hasTLS ? ["--cert=\(scratch.file("cert.pem"))", "--pkey=\(scratch.file("key.pem"))"] : ["--no-tls"])
            + arguments, scratch: scratch)
    for _ in 0..<500 where !text().contains("SQLite DB connection success") {
        try await Task.sleep(for: .milliseconds(20))
    }
    var failure: (any Error)?
    do { try await body(ports) } catch { failure = error }
    // It writes its log when it has time.
    for _ in 0..<50 where text().components(separatedBy: "delete: realm").count < 3 {
        try await Task.sleep(for: .milliseconds(20))
    }
    server.signal(SIGKILL)
    _ = await server.ended(within: 10)
    if let failure { throw failure }
    return text()
}

/// A self-signed certificate for a name, as `cert.pem` and `key.pem`.
func makeCertificate(_ name: String, _ scratch: Scratch) async throws {
    try await run(
        "openssl",
        [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=turn", "-addext", "subjectAltName=\(name)", "-keyout", scratch.file("key.pem"), "-out",
            scratch.file("cert.pem"),
        ], scratch: scratch)
}
