import Foundation
import Testing

/// `Scripts/coturn-config`: what it writes is taken by Debian's coturn without a complaint and does what it says.
@Suite(.serialized, .timeLimit(.minutes(3))) struct CoturnConfigTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func configure(_ arguments: [String]) async throws -> Ended {
        try await Program(
            tool("python3"), [Fixture.script("coturn-config")] + arguments, scratch: scratch,
            environment: ["POSTERN": posternPath]
        ).ended(within: 60)
    }

    /// A machine of its own with two addresses, 192.0.2.133 and 192.0.2.134, where a server runs on `turnserver.conf`.
    private func besideServer(_ script: String) async throws -> Ended {
        let setup = """
            configure=$1 postern=$2 turnserver=$3
            export POSTERN=$postern
            ip link set lo up
            ip link add eth0 type veth peer name other; ip link set eth0 up; ip link set other up
            ip address add 192.0.2.133/24 dev eth0; ip address add 192.0.2.134/24 dev eth0
            $turnserver -c turnserver.conf --pidfile=$PWD/pid --userdb=$PWD/db > turn.log 2>&1 &
            for wait in $(seq 100); do ss -lun | grep -q 192.0.2.133:3478 && break; sleep 0.1; done
            """
        return try await Places.calls.taking { [scratch] in
            try await Program(
                tool("unshare"),
                [
                    "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh",
                    "-ec",
                    setup + "\n" + script, "sh", Fixture.script("coturn-config"), posternPath, try tool("turnserver"),
                ], scratch: scratch
            ).ended(within: 50)
        }
    }

    private func write(_ name: String, _ text: String) throws {
        try (text + "\n").write(toFile: scratch.file(name), atomically: true, encoding: .utf8)
    }

    @Test func aServerWithUsersTLSAndTwoAddressesIsConfiguredAndChecked() async throws {
        try await makeCertificate("DNS:turn.example.org,IP:192.0.2.133", scratch)
        try write("password", "hush-4711")
        try write("wrong", "hash-4712")
        let made = try await configure([
            "--listen", "192.0.2.133", "--listen", "192.0.2.134", "--relay", "192.0.2.133", "--realm", "example.org",
            "--user", "alice", "--password-file", scratch.file("password"), "--cert", scratch.file("cert.pem"), "--key",
            scratch.file("key.pem"), "--user-quota", "20", "--output", scratch.file("turnserver.conf"),
        ])
        #expect(made.status == 0 && made.errors.contains("turnserver -c"), "\(made.errors)")
        #expect(!(made.errors + made.output).contains("hush-4711"))
        let permissions = try FileManager.default.attributesOfItem(atPath: scratch.file("turnserver.conf"))
        #expect((permissions[.posixPermissions] as? Int) == 0o600)
        let checked = try await besideServer(
            """
            python3 $configure --check turn:192.0.2.133 --check "turn:192.0.2.133?transport=tcp" --check turns:192.0.2.133 \\
                --check stun:192.0.2.133 --turn-ca cert.pem --user alice --password-file password
            $postern nat --ice-server stun:192.0.2.133 --idle 0
            python3 $configure --check turn:192.0.2.133 --user alice --password-file wrong && exit 1 || [ $? = 20 ]
            """)
        #expect(checked.status == 0, "\(checked.output)\(checked.errors)\(scratch.text("turn.log"))")
        #expect(checked.output.components(separatedBy: "data passed through and back").count == 4, "\(checked.output)")
        #expect(checked.output.contains("nothing from outside is filtered"), "both addresses answer: \(checked.output)")
        #expect(checked.output.contains("401, wrong user name or password"), "\(checked.output)")
        for text in [checked.output, checked.errors, scratch.text("turn.log")] { #expect(!text.contains("hush-4711")) }
        // But for the wrong password it has no complaint.
        for line in scratch.text("turn.log").split(separator: "\n") where !line.contains("check_stun_auth") {
            for word in ["Unknown", "Bad configuration", "ERROR", "WARNING"] {
                #expect(!line.contains(word), "\(line)")
            }
        }
    }

    @Test func aServerWithASharedSecretIsConfiguredAndChecked() async throws {
        try write("secret", "north-wind")
        let made = try await configure([
            "--listen", "192.0.2.133", "--relay", "192.0.2.133", "--realm", "example.org", "--secret-file",
            scratch.file("secret"), "--external", "192.0.2.134/192.0.2.133", "--min-port", "50000", "--max-port",
            "50100",
            "--deny", "192.0.2.64/26", "--output", scratch.file("turnserver.conf"),
        ])
        #expect(made.status == 0, "\(made.errors)")
        // What external-ip tells is an address where nobody forwards the relay's ports, and then one where they are.
        let checked = try await besideServer(
            """
            python3 $configure --check turn:192.0.2.133 --secret-file secret && exit 1 || [ $? = 20 ]
            nft 'table ip proxy { chain out {
              type nat hook output priority -100; ip daddr 192.0.2.134 udp dport 50000-50100 dnat to 192.0.2.133; }; }'
            python3 $configure --check turn:192.0.2.133 --secret-file secret
            """)
        #expect(checked.status == 0, "\(checked.output)\(checked.errors)\(scratch.text("turn.log"))")
        for words in ["192.0.2.134", "no data came through it", "data passed through and back"] {
            #expect(checked.output.contains(words), "\(words): \(checked.output)")
        }
        #expect(!scratch.text("turn.log").contains("north-wind"))
    }

    @Test func eachLineIsExplainedAndWhatIsWrongIsSaid() async throws {
        try write("password", "hush")
        let base = ["--realm", "example.org", "--user", "alice", "--password-file", scratch.file("password")]
        let made = try await configure(base + ["--external", "198.51.100.40/192.0.2.133", "--total-quota", "9"])
        #expect(made.status == 0)
        for block in made.output.components(separatedBy: "\n\n") {
            #expect(block.hasPrefix("# "), "\(block)")
        }
        for line in ["external-ip=198.51.100.40/192.0.2.133", "realm=example.org", "lt-cred-mech", "user=alice:hush"] {
            #expect(made.output.contains("\n\(line)\n"), "\(line)")
        }
        for (arguments, words) in [
            (["--external", "front"], "--external front: write an IP address"),
            (["--min-port", "60000", "--max-port", "50000"], "the smaller first"),
            (["--cert", "x.pem"], "go together"),
            (["--deny", "192.0.2.0/33"], "--deny"), (["--output", "/nonexistent/turnserver.conf"], "--output"),
        ] {
            expectFailure(try await configure(base + arguments), 64, saying: [words])
        }
        let none = try await configure(["--user", "alice", "--password-file", scratch.file("password")])
        expectFailure(none, 64, saying: ["--realm is needed"])
    }
}
