import Foundation
import Testing

/// `postern nat` behind the kernel's NATs, in network namespaces of the test's own, with Debian's coturn at two addresses.
///
///     this 10.0.0.10 ── 10.0.0.1 nat 192.0.2.1 ── 192.0.2.254 server 198.51.100.20, 198.51.100.21
///
/// Linux's own masquerading keeps ports where it can, and so maps independently of the endpoint; with `fully-random` it is
/// symmetric; with all ports sent inside anyone may send in. Idle mappings are forgotten after 4 s.
@Suite(.serialized, .timeLimit(.minutes(3))) struct NATCommandTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func nat(_ kind: String, _ arguments: [String]) async throws -> Ended {
        try await Places.calls.taking { [scratch] in
            try await Program(
                tool("unshare"),
                [
                    "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                    "sh",
                    "-ec", Self.script, "sh", kind, try tool("turnserver"), scratch.file("turn.log"), posternPath,
                    "nat",
                ] + arguments, scratch: scratch
            ).ended(within: 50)
        }
    }

    @Test(arguments: [
        ("masquerade", "endpoint-independent", "address-and-port-dependent", true),
        ("fully-random", "address-and-port-dependent", "address-and-port-dependent", false),
        ("open", "endpoint-independent", "endpoint-independent", true),
    ])
    func theKernelsNATsAreNamedRight(_ kind: String, _ mapping: String, _ filtering: String, _ keepsPort: Bool)
        async throws
    {
        let ended = try await nat(kind, ["--json", "--idle", "10s", "--ice-server", "stun:198.51.100.20"])
        #expect(ended.status == 0, "\(ended.errors)")
        let found = try JSON(parsing: ended.output)["results"][0]
        #expect(found["mapping"].text == mapping && found["filtering"].text == filtering, "\(ended.output)")
        #expect(found["isTranslated"] == .bool(true) && found["preservesPort"] == .bool(keepsPort), "\(ended.output)")
        #expect(found["hairpins"] == .bool(false), "\(ended.output)")
        #expect(found["mapped"].text?.hasPrefix("192.0.2.1:") == true)
        // Where all ports are sent inside there is always a way in; elsewhere it is closed after the kernel's 4 s.
        #expect(found["goneAfterSeconds"].number == (kind == "open" ? nil : 5), "\(ended.output)")
        #expect(found["keptForSeconds"].number == (kind == "open" ? 10 : 2), "\(ended.output)")
        let words = found["sentences"].items.compactMap(\.text).joined(separator: "\n")
        #expect(words.contains("for a call: direct with STUN"), "\(words)")
        #expect(words.contains("else it takes TURN") == (kind == "fully-random"), "\(words)")
    }

    @Test func withoutANATItSaysSoAndMeasuresNothing() async throws {
        let ended = try await nat("none", ["--ice-server", "stun:198.51.100.20"])
        #expect(ended.status == 0, "\(ended.errors)")
        #expect(ended.output.contains("there is no NAT") && ended.output.contains("reach this machine directly"))
        #expect(!ended.output.contains("binding lifetime"))
    }

    @Test func aServerThatDoesNotAnswerIsSaidByTheExitCode() async throws {
        let ended = try await nat("none", ["--ice-server", "stun:198.51.100.20:9"])
        #expect(ended.status == 20 && ended.output.contains("did not answer"), "\(ended.output)")
        let none = try await postern(["nat"], scratch: scratch)
        expectFailure(none, 64, saying: ["--ice-server stun:"])
        let long = try await postern(["nat", "--ice-server", "stun:192.0.2.1", "--idle", "11m"], scratch: scratch)
        expectFailure(long, 64, saying: ["--idle 11m", "ten minutes"])
    }

    private static let script = """
        kind=$1 turnserver=$2 log=$3; shift 3
        mount -t tmpfs none /run
        for name in nat server; do ip netns add $name; ip -n $name link set lo up; done
        ip link set lo up
        ip link add inside type veth peer name inside netns nat
        ip -n nat link add outside type veth peer name outside netns server
        ip address add 10.0.0.10/24 dev inside; ip link set inside up
        ip -n nat address add 10.0.0.1/24 dev inside; ip -n nat link set inside up
        ip -n nat address add 192.0.2.1/24 dev outside; ip -n nat link set outside up
        ip -n server address add 192.0.2.254/24 dev outside; ip -n server link set outside up
        for last in 20 21; do ip -n server address add 198.51.100.$last/32 dev lo; done
        ip route add default via 10.0.0.1
        ip -n nat route add default via 192.0.2.254
        ip -n server route add 10.0.0.0/24 via 192.0.2.1
        in_nat() { ip netns exec nat sh -ec "$1"; }
        in_nat 'echo 1 > /proc/sys/net/ipv4/ip_forward'
        out='type nat hook postrouting priority srcnat; oifname outside masquerade'
        into='type nat hook prerouting priority dstnat; iifname outside meta l4proto udp dnat to 10.0.0.10'
        case $kind in
          masquerade) in_nat "nft 'table ip nat { chain out { $out; }; }'" ;;
          fully-random) in_nat "nft 'table ip nat { chain out { $out fully-random; }; }'" ;;
          open) in_nat "nft 'table ip nat { chain out { $out; }; chain into { $into; }; }'" ;;
        esac
        [ $kind = none ] || in_nat 'for t in timeout timeout_stream; do echo 4 > /proc/sys/net/netfilter/nf_conntrack_udp_$t; done'
        ip netns exec server $turnserver -n -S --listening-ip=198.51.100.20 --listening-ip=198.51.100.21 --no-cli --no-tls \\
            --no-dtls --log-file=$log --simple-log --pidfile=/run/pid > /dev/null 2>&1 &
        for wait in $(seq 100); do
          ip netns exec server ss -lun | grep -q 198.51.100.21:3479 && break
          sleep 0.1
        done
        "$@"
        """
}
