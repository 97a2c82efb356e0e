import Testing

@testable import Signaling

@Suite struct AccessPolicyTests {
    private func verdict(
        _ target: String = "/room/demo", token: String? = nil, origins: [String] = [], isLocalOnly: Bool = true,
        _ change: (inout AccessPolicy.Request) -> Void = { _ in }
    ) -> AccessPolicy.Verdict {
        var request = AccessPolicy.Request(target: target, host: "127.0.0.1:8099", isUpgrade: true)
        change(&request)
        return AccessPolicy(token: token, origins: origins, isLocalOnly: isLocalOnly).verdict(on: request)
    }

    private func status(_ verdict: AccessPolicy.Verdict) -> Int? {
        if case .refused(let status, _) = verdict { status } else { nil }
    }

    @Test func pathsLeadWhereTheySay() {
        #expect(verdict("/") == .page && verdict("/?room=a&token=b") == .page)
        #expect(verdict("/healthz") == .health && verdict("/metrics") == .metrics)
        #expect(verdict() == .room("demo"))
        #expect(status(verdict("/room/")) == 404 && status(verdict("/room/a/b")) == 404 && status(verdict("/x")) == 404)
        #expect(status(verdict { $0.isUpgrade = false }) == 426)
        #expect(status(verdict { $0.method = "POST" }) == 405)
    }

    @Test func theTokenIsAskedFor() {
        let token = "s e/c+ret"
        #expect(status(verdict(token: token)) == 401)
        #expect(status(verdict("/room/demo?token=wrong", token: token)) == 401)
        #expect(status(verdict("/room/demo?token=", token: token)) == 401)
        #expect(verdict("/room/demo?a=b&token=s%20e%2Fc%2bret", token: token) == .room("demo"))
        #expect(verdict(token: token) { $0.authorization = "bearer s e/c+ret" } == .room("demo"))
        #expect(status(verdict(token: token) { $0.authorization = "Bearer s e/c+re" }) == 401)
        #expect(status(verdict(token: token) { $0.authorization = "Basic s e/c+ret" }) == 401)
    }

    @Test func foreignPagesAreRefused() {
        func from(_ origin: String, host: String = "127.0.0.1:8099", origins: [String] = []) -> Int? {
            status(
                verdict(origins: origins, isLocalOnly: false) {
                    $0.origin = origin
                    $0.host = host
                })
        }
        #expect(from("http://127.0.0.1:8099") == nil)
        #expect(from("https://pc.example:8099", host: "pc.example:8099") == nil)
        #expect(from("https://pc.example", host: "pc.example:443") == nil)
        for origin in [
            "http://evil.example", "http://127.0.0.1:8098", "null", "http://127.0.0.1:8099.evil.example", "",
        ] {
            #expect(from(origin) == 403, "\(origin)")
        }
        #expect(from("https://app.example", origins: ["https://App.example"]) == nil)
        #expect(from("https://app.example.evil", origins: ["https://app.example"]) == 403)
    }

    /// A name that an attacker makes point to this machine is none of ours.
    @Test func aServerOnLoopbackWantsItsAddress() {
        func at(_ host: String?, token: String? = nil) -> Int? {
            status(
                verdict("/room/demo?token=t", token: token) {
                    $0.host = host
                    $0.origin = host.map { "http://\($0)" }
                })
        }
        for host in ["127.0.0.1:8099", "localhost:8099", "[::1]:8099", "localhost"] {
            #expect(at(host) == nil, "\(host)")
        }
        for host in ["rebind.example:8099", "127.0.0.1.evil.example", nil] { #expect(at(host) == 403) }
        #expect(at("rebind.example:8099", token: "t") == nil)
    }

    @Test func secretsAreComparedWhole() {
        #expect(isEqualInConstantTime("abc", "abc") && isEqualInConstantTime("", ""))
        for other in ["", "ab", "abd", "abcd", "abcabc"] { #expect(!isEqualInConstantTime("abc", other)) }
    }
}
