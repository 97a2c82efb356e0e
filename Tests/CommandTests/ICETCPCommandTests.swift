import Foundation
import Testing

/// Calls over TCP connections on this machine, from the flag to the report.
@Suite(.timeLimit(.minutes(3))) struct ICETCPCommandTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func expectTCP(_ report: JSON, _ local: String, _ remote: String) {
        let pair = report["selectedPair"]
        #expect(pair["local"]["protocol"].text == "tcp" && pair["local"]["tcpType"].text == local, "\(pair)")
        #expect(pair["remote"]["protocol"].text == "tcp" && pair["remote"]["tcpType"].text == remote, "\(pair)")
        #expect(report["notes"].items.contains { $0.text?.contains("over TCP") == true })
        let candidates = report["stats"].items.filter { $0["type"].text == "local-candidate" }
        #expect(candidates.contains { $0["tcpType"].text == local && $0["protocol"].text == "tcp" })
    }

    @Test func aLoopbackOverNothingButTCP() async throws {
        let recording = scratch.file("out.webm")
        let report = scratch.file("report.json")
        let ended = try await postern(
            [
                "loopback", "--send", Fixture.clip, "--record", recording, "--ice-transport", "tcp", "--report", report,
            ], scratch: scratch)
        #expect(ended.status == 0, "\(ended.errors)")
        try await expectWhole(recording, source: Fixture.clip, scratch: scratch)
        let json = try JSON(file: report)
        #expect(json["selectedPair"]["local"]["protocol"].text == "tcp", "\(json["selectedPair"])")
    }

    @Test(arguments: [true, false]) func oneSideListensAndTheOtherConnects(offererListens: Bool) async throws {
        let (listening, connecting) = (["--ice-tcp", "passive"], ["--ice-tcp", "active"])
        let reports = [scratch.file("offerer.json"), scratch.file("answerer.json")]
        let call = try await PipedCall.run(
            offerer: [
                "--send", "test", "--duration", "2", "--interface", "lo", "--ice-transport", "tcp", "--report",
                reports[0],
            ] + (offererListens ? listening : connecting),
            answerer: [
                "--record", scratch.file("out.webm"), "--interface", "lo", "--ice-transport", "tcp", "--report",
                reports[1],
            ] + (offererListens ? connecting : listening), scratch: scratch)
        #expect(
            call.offerer.status == 0 && call.answerer.status == 0, "\(call.offerer.errors)\n\(call.answerer.errors)")
        for (index, report) in reports.enumerated() {
            let listens = (index == 0) == offererListens
            expectTCP(
                try JSON(file: report), listens ? "passive" : "active", listens ? "active" : "passive")
        }
        #expect(!(call.fromOfferer + call.fromAnswerer).contains { $0.contains(" udp ") })
    }

    /// UDP is announced under an address nobody has: TCP takes its place, by a default flag on the one side.
    @Test func whereUDPDoesNotWorkTheDefaultConnects() async throws {
        let report = scratch.file("report.json")
        let call = try await PipedCall.run(
            offerer: ["--send", "test", "--duration", "2", "--interface", "lo", "--address-family", "ipv4"],
            answerer: [
                "--record", scratch.file("out.webm"), "--interface", "lo", "--address-family", "ipv4", "--ice-tcp",
                "passive",
                "--report", report,
            ], scratch: scratch,
            rewriting: { line, _ in
                [line.replacing(/(candidate:\S+ 1 )udp( \d+ )\S+/) { "\($0.1)udp\($0.2)127.0.0.9" }]
            })
        #expect(
            call.offerer.status == 0 && call.answerer.status == 0, "\(call.offerer.errors)\n\(call.answerer.errors)")
        _ = try JSON(file: report)
    }

    @Test func nobodyWhoConnectsIsNamedByThePort() async throws {
        let report = scratch.file("report.json")
        let call = try await PipedCall.run(
            offerer: [
                "--send", "test", "--duration", "2", "--interface", "lo", "--ice-tcp", "off", "--setup-timeout", "6s",
            ],
            answerer: [
                "--record", scratch.file("out.webm"), "--interface", "lo", "--address-family", "ipv4",
                "--ice-transport",
                "tcp", "--setup-timeout", "4s", "--report", report,
            ], scratch: scratch)
        #expect(call.answerer.status == 20, "\(call.answerer.errors)")
        let sentence = try JSON(file: report)["diagnosis"]["sentence"].text ?? ""
        #expect(sentence.contains("nobody connected to our TCP port") && sentence.contains("127.0.0.1:"), "\(sentence)")
    }

    @Test func aTakenPortIsSaid() async throws {
        let flags = ["--interface", "lo", "--address-family", "ipv4", "--tcp-port", "31977"]
        let call = try await PipedCall.run(
            offerer: ["--send", "test", "--duration", "2", "--setup-timeout", "3s"] + flags,
            answerer: ["--record", scratch.file("out.webm"), "--setup-timeout", "3s"] + flags, scratch: scratch)
        let refused = [call.offerer, call.answerer].filter { $0.status == 12 }
        #expect(refused.count == 1)
        if let first = refused.first { expectFailure(first, 12, saying: ["TCP port 31977", "ss -ltnp"], "") }
    }

    @Test func whatDoesNotGoTogetherIsSaid() async throws {
        for (flags, words) in [
            (["--ice-tcp", "maybe"], ["--ice-tcp maybe", "off, active, passive or both"]),
            (["--tcp-port", "0"], ["--tcp-port 0", "1 to 65535"]),
            (["--ice-transport", "sctp"], ["--ice-transport sctp", "all, udp or tcp"]),
            (["--ice-transport", "tcp", "--ice-tcp", "off"], ["nothing to connect by"]),
            (["--ice-transport", "udp", "--tcp-port", "30008"], ["exclude each other"]),
            (["--ice-tcp", "active", "--tcp-port", "30008"], ["accepts none"]),
            (["--ice-transport", "tcp", "--udp-port", "30008"], ["leave out --udp-port"]),
            (["--ice-lite", "--ice-tcp", "active"], ["--ice-lite makes no connections"]),
        ] {
            let ended = try await postern(["call", "stdio:offer", "--send", "test"] + flags, scratch: scratch)
            expectFailure(ended, 64, saying: words, "\(flags)")
        }
        let ended = try await postern(
            ["loopback", "--send", "test", "--virtual", "--ice-transport", "tcp"], scratch: scratch)
        expectFailure(ended, 64, saying: ["--virtual simulates UDP only"], "virtual")
    }
}
