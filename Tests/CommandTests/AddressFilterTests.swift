import Foundation
import Testing

/// Which addresses a call uses, from the flag to the candidates that leave.
@Suite struct AddressFilterTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// The addresses of all candidates of one side.
    private func announced(_ lines: [String]) -> Set<String> {
        Set(
            lines.flatMap { line in
                line.matches(of: /candidate:\S+ 1 [a-zA-Z]+ [0-9]+ (\S+) [0-9]+ typ/).map { String($0.1) }
            })
    }

    @Test func onlyChosenAddressesAreAnnouncedAndTheCallStands() async throws {
        for filter in [["--address-family", "ipv4"], ["--subnet", "127.0.0.0/8"]] {
            let call = try await PipedCall.run(
                offerer: ["--send", "test", "--duration", "1", "--interface", "lo"] + filter,
                answerer: [
                    "--record", scratch.file("out.webm"), "--interface", "lo", "--map", "local any = 203.0.113.40",
                    "--address-family", "ipv4",
                ], scratch: scratch)
            #expect(call.offerer.status == 0 && call.answerer.status == 0, "\(filter) \(call.offerer.errors)")
            #expect(announced(call.fromOfferer) == ["127.0.0.1"], "\(filter)")
            // The other side is met at the address its checks come from.
            #expect(announced(call.fromAnswerer) == ["203.0.113.40"], "\(filter)")
        }
    }

    @Test func filtersThatLeaveNothingAreRefused() async throws {
        for (flags, words) in [
            (["--subnet", "192.0.2.0/24"], ["--subnet", "no address is left", "127.0.0.1"]),
            (["--ice-policy", "default-route"], ["--ice-policy", "no address is left", "127.0.0.1"]),
            (["--ice-policy", "default-route-public"], ["--ice-policy", "no address is left", "127.0.0.1"]),
        ] {
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "1", "--record", scratch.file("out.webm"),
                    "--interface", "lo",
                ] + flags, scratch: scratch)
            expectFailure(ended, 12, saying: words, "\(flags)")
        }
    }

    @Test func whatIsNoFilterIsSaid() async throws {
        for (flags, words) in [
            (["--subnet", "192.0.2.0/33"], ["--subnet 192.0.2.0/33", "ADDRESS/BITS"]),
            (["--address-family", "ipv5"], ["--address-family ipv5", "ipv4 or ipv6"]),
            (["--ice-policy", "some"], ["--ice-policy some", "default-route-public"]),
        ] {
            let ended = try await postern(
                ["loopback", "--send", "test", "--duration", "1", "--record", scratch.file("out.webm")] + flags,
                scratch: scratch)
            expectFailure(ended, 64, saying: words, "\(flags)")
        }
    }
}
