import ArgumentParser
import Endpoint

/// Where packets may go, and what stands between the two sides.
struct NetworkFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            A STUN or TURN server: stun:HOST:PORT, turn:HOST:PORT, over TCP with ?transport=tcp, over TLS stuns: and turns:. \
            Repeatable; Docs/turn.md.
            """, valueName: "url"))
    var iceServer: [String] = []

    @Option(
        help: ArgumentHelp(
            "The user name for TURN servers; POSTERN_TURN_USER does the same.", valueName: "name"))
    var turnUser: String?

    @Option(
        help: ArgumentHelp(
            "A file whose first line is the user's TURN password; or POSTERN_TURN_PASSWORD.", valueName: "file"))
    var turnPasswordFile: String?

    @Option(
        help: ArgumentHelp(
            """
            A file whose first line is the secret shared with the TURN server, of which credentials for a day are made \
            (coturn's use-auth-secret); or POSTERN_TURN_SECRET.
            """, valueName: "file"))
    var turnSecretFile: String?

    @Option(
        help: ArgumentHelp("PEM certificates to trust for turns:, in place of the system's.", valueName: "file"))
    var turnCa: String?

    @Flag(help: "Trust any certificate for turns:.")
    var turnInsecure = false

    @Option(
        help: ArgumentHelp("Relayed addresses to ask TURN servers for: ipv4, ipv6 or both.", valueName: "family"))
    var relayFamily: String = "ipv4"

    @Option(
        help: ArgumentHelp(
            """
            An HTTP proxy that servers over TCP and TLS are reached through (CONNECT): http://HOST:PORT, with USER:PASSWORD@ \
            or USER@ and POSTERN_PROXY_PASSWORD where it asks for them.
            """, valueName: "url"))
    var proxy: String?

    @Option(
        help: ArgumentHelp(
            """
            An address that the other side comes from as our TURN server sees it, and that its candidates do not name: that of a \
            proxy. It gets a permission. Repeatable.
            """, valueName: "address"))
    var peerSeenAs: [String] = []

    @Option(
        help: ArgumentHelp(
            "UDP ports to bind, one a call, such as 30008-30208. Without it, those a --map rule announces, or any.",
            valueName: "a-b"))
    var portRange: String?

    @Option(help: ArgumentHelp("One UDP port for all calls of this process, such as 30008.", valueName: "port"))
    var udpPort: String?

    @Option(
        help: ArgumentHelp(
            """
            Whether to make TCP connections to the other side (active), to accept them (passive), both, or neither (off), for \
            networks that UDP does not pass; Docs/ice-tcp.md. Default: active, and both with --tcp-port.
            """, valueName: "mode"))
    var iceTcp: String?

    @Option(
        help: ArgumentHelp(
            "One TCP port to accept connections on, for all calls of this process. Without it, one of --port-range, or any.",
            valueName: "port"))
    var tcpPort: String?

    @Option(help: ArgumentHelp("Which transports to use: all, udp or tcp.", valueName: "transport"))
    var iceTransport: String = "all"

    @Option(
        help: ArgumentHelp(
            """
            An address mapping, where a proxy stands between the two sides: 'SCOPE FROM = TO (OPTIONS)', such as \
            'local 192.0.2.33:30008-30208 = 198.51.100.40:30008-30208'. Repeatable; Docs/boundary.md has them all.
            """, valueName: "rule"))
    var map: [String] = []

    @Option(help: ArgumentHelp("A file of such rules, one a line.", valueName: "file"))
    var mapFile: String?

    @Flag(help: "Accept answers to our checks that come from another address than was asked.")
    var allowAsymmetricProxy = false

    @Flag(help: "Answer checks and leave it to the other side to make them (ICE lite).")
    var iceLite = false

    @Option(help: ArgumentHelp("Use this interface only. Repeatable.", valueName: "name"))
    var interface: [String] = []

    @Option(help: ArgumentHelp("Use addresses of this family only: ipv4 or ipv6.", valueName: "family"))
    var addressFamily: String?

    @Option(
        help: ArgumentHelp("Use addresses of this network only, such as 192.0.2.0/24. Repeatable.", valueName: "cidr"))
    var subnet: [String] = []

    @Option(
        help: ArgumentHelp(
            """
            Which candidates to use: all; relay, those of TURN servers only; host-only, which asks no server; \
            default-route, all on addresses that traffic to the internet leaves by; default-route-public, the same, and \
            private addresses are not announced (RFC 8828).
            """, valueName: "policy"))
    var icePolicy: String = "all"

    @Option(
        help: ArgumentHelp(
            "The DTLS certificate to use, PEM, with --dtls-key; without them one is made for this run.",
            valueName: "file"))
    var dtlsCertificate: String?

    @Option(help: ArgumentHelp("The private key of --dtls-certificate, PEM.", valueName: "file"))
    var dtlsKey: String?
}

extension CallOptions {
    mutating func apply(_ flags: NetworkFlags) throws {
        for text in flags.iceServer {
            do {
                network.iceServers.append(try ICEServerURL(parsing: text))
            } catch {
                throw ValidationError("\(error)")
            }
        }
        network.portRange = try flags.portRange.map(parsePortRange)
        do throws(NetworkOptionError) {
            network.udpPort = try flags.udpPort.map { text throws(NetworkOptionError) in
                try NetworkOptions.port(text, flag: "--udp-port")
            }
            if let path = flags.mapFile { try network.addMappingRules(inFile: path) }
            for rule in flags.map { try network.addMappingRule(rule) }
            network.allowsAsymmetricProxy = flags.allowAsymmetricProxy
            network.isICELite = flags.iceLite
            try network.setTURNLogin(
                user: flags.turnUser, passwordFile: flags.turnPasswordFile, secretFile: flags.turnSecretFile)
            for text in flags.peerSeenAs { try network.addRelayPeer(text) }
            try network.setRelayFamilies(flags.relayFamily)
            if let proxy = flags.proxy { try network.setProxy(proxy) }
            try network.setRelayTrust(authorities: flags.turnCa, isInsecure: flags.turnInsecure)
            try network.setFilters(
                family: flags.addressFamily, subnets: flags.subnet, policy: flags.icePolicy)
            try network.setStreams(mode: flags.iceTcp, port: flags.tcpPort, transport: flags.iceTransport)
        } catch {
            throw ValidationError("\(error)")
        }
        if network.udpPort != nil, network.portRange != nil {
            throw ValidationError(
                "--udp-port and --port-range exclude each other: one port for all calls, or one a call")
        }
        network.interfaces = flags.interface
        guard (flags.dtlsCertificate == nil) == (flags.dtlsKey == nil) else {
            throw ValidationError("--dtls-certificate and --dtls-key go together")
        }
        if let certificate = flags.dtlsCertificate, let key = flags.dtlsKey {
            network.certificate = CertificateFiles(certificate: certificate, key: key)
        }
    }
}
