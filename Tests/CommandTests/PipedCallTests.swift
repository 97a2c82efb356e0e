import Foundation
import Testing

/// Two processes joined by pipes, in either role.
@Suite struct PipedCallTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test func offererSends() async throws {
        let recording = scratch.file("out.webm")
        let call = try await PipedCall.run(
            offerer: ["--send", Fixture.clip], answerer: ["--record", recording], scratch: scratch)
        #expect(
            call.offerer.status == 0 && call.answerer.status == 0, "\(call.offerer.errors)\n\(call.answerer.errors)")
        try await expectWhole(recording, source: Fixture.clip, scratch: scratch)
    }

    @Test func answererSendsWhatTheOffererRecords() async throws {
        let recording = scratch.file("out.webm")
        let call = try await PipedCall.run(
            offerer: ["--record", recording], answerer: ["--send", Fixture.clip], scratch: scratch)
        #expect(
            call.offerer.status == 0 && call.answerer.status == 0, "\(call.offerer.errors)\n\(call.answerer.errors)")
        try await expectWhole(recording, source: Fixture.clip, scratch: scratch)
    }

    @Test func bothSendAndRecord() async throws {
        let (here, there) = (scratch.file("offerer.webm"), scratch.file("answerer.webm"))
        let call = try await PipedCall.run(
            offerer: ["--send", Fixture.clip, "--record", here],
            answerer: ["--send", Fixture.passable, "--record", there], scratch: scratch)
        #expect(
            call.offerer.status == 0 && call.answerer.status == 0, "\(call.offerer.errors)\n\(call.answerer.errors)")
        try await expectWhole(here, source: Fixture.passable, scratch: scratch)
        try await expectWhole(there, source: Fixture.clip, scratch: scratch)
    }

    /// The description comes first, then the candidates, then their end: what a browser's page can take in this order.
    @Test func signallingIsInOrder() async throws {
        let call = try await PipedCall.run(
            offerer: ["--send", "test", "--duration", "1"], answerer: ["--record", scratch.file("out.webm")],
            scratch: scratch)
        for (lines, type) in [(call.fromOfferer, "offer"), (call.fromAnswerer, "answer")] {
            let messages = try lines.map { try JSON(parsing: $0) }
            #expect(messages.first?["type"].text == type && messages.first?["sdp"].text?.hasPrefix("v=0\r\n") == true)
            let candidates = messages.dropFirst().filter { $0["candidate"].text != nil }
            #expect(!candidates.isEmpty && candidates.allSatisfy { $0["sdpMid"].text == "0" })
            #expect(messages.contains { $0 == .object(["candidate": .null]) })
            #expect(messages.last == .object(["type": .string("bye")]))
        }
    }

    /// What is in the logs and reports may be passed on: it opens nothing.
    @Test func noSecretLeavesButThroughSignalling() async throws {
        func flags(_ name: String) -> [String] {
            [
                "--events", scratch.file(name + ".ndjson"), "--report", scratch.file(name + ".json"), "--log-level",
                "debug",
            ]
        }
        let call = try await PipedCall.run(
            offerer: ["--send", "test", "--duration", "1"] + flags("offerer"),
            answerer: ["--record", scratch.file("out.webm")] + flags("answerer"), scratch: scratch)
        #expect(call.offerer.status == 0 && call.answerer.status == 0)
        let passwords = (call.fromOfferer + call.fromAnswerer).compactMap {
            $0.firstMatch(of: /a=ice-pwd:([A-Za-z0-9+\/]+)/).map { String($0.1) }
        }
        #expect(passwords.count == 2)
        for name in ["offerer.ndjson", "answerer.ndjson", "offerer.json", "answerer.json"] {
            let text = scratch.text(name)
            #expect(text.count > 1_000, "\(name)")
            for word in passwords + ["ice-pwd", "PRIVATE KEY", "CLIENT_RANDOM"] {
                #expect(!text.contains(word), "\(name) holds \(word)")
            }
        }
        for text in [call.offerer.errors, call.answerer.errors] {
            #expect(!passwords.contains { text.contains($0) })
        }
        // Keys leave by the means that exists for it, when that is asked for.
        let keys = scratch.file("keys.log")
        _ = try await postern(
            ["loopback", "--send", "test", "--duration", "0.2"], scratch: scratch, environment: ["SSLKEYLOGFILE": keys])
        let attributes = try FileManager.default.attributesOfItem(atPath: keys)
        #expect(scratch.text("keys.log").contains("CLIENT_RANDOM"))
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
    }
}
