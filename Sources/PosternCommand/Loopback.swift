import ArgumentParser
import Endpoint
import SimulatedNetwork

/// Two peers in one process: over UDP sockets of this machine, or in simulated time.
struct Loopback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold a call between two peers in this process.",
        discussion: """
            The first peer offers and sends --send; the second answers and records --record. Without --virtual the \
            packets cross UDP sockets on 127.0.0.1. With --virtual they cross a simulated network, faster than real \
            time and the same for the same --seed.

            Examples:
              postern loopback --send clip.mp4 --record out.webm
              postern loopback --send test --duration 60 --virtual --network rtt=100ms,loss=2% --expect 'setup < 1s'
            """)

    @OptionGroup(title: "Call") var call: CallFlags
    @OptionGroup(title: "Media") var media: MediaFlags
    @OptionGroup(title: "Network") var network: NetworkFlags

    @Flag(help: "Run in simulated time on a simulated network instead of sockets.")
    var virtual = false

    @Option(
        name: .customLong("network"),
        help: ArgumentHelp(
            """
            The simulated network, such as rtt=100ms,loss=2%,jitter=20ms,rate=2mbps,queue=300ms,nat=symmetric/cone. \
            Needs --virtual.
            """, valueName: "spec"))
    var specification: String?

    @Option(help: "What makes a --virtual run repeat itself.")
    var seed: UInt64 = 1

    func validate() throws {
        if specification != nil, !virtual {
            throw ValidationError("--network describes a simulated network: add --virtual")
        }
        if call.report == "-", call.events == "-" {
            throw ValidationError("--report - and --events - both want standard output; name a file for one of them")
        }
        if virtual, !network.interface.isEmpty || !network.iceServer.isEmpty {
            throw ValidationError(
                "--interface and --ice-server are of this machine's network; --virtual does without it")
        }
        if network.udpPort != nil || network.tcpPort != nil || network.iceLite {
            throw ValidationError(
                "--udp-port, --tcp-port and --ice-lite are for one of two peers, not for both: use them with postern call"
            )
        }
        if virtual, network.iceTcp != nil || network.iceTransport != "all" {
            throw ValidationError(
                "--ice-tcp and --ice-transport are about connections of this machine; --virtual simulates UDP only")
        }
        _ = try CallOptions(call, media, network)
    }

    func run() async throws {
        let options = try CallOptions(call, media, network)
        let specification: NetworkSpecification
        do {
            specification = try NetworkSpecification(parsing: self.specification ?? "")
        } catch {
            throw ValidationError("--network: \(error)")
        }
        try await finish(options, call) { session in
            if virtual {
                try await session.runVirtualLoopback(network: specification, seed: seed)
            } else {
                try await session.runLoopback()
            }
        }
    }
}
