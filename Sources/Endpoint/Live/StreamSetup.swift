import ICE
import PeerIO
import Primitives

/// What a call gathers on: UDP sockets, listeners, addresses to connect from.
struct CallSockets {
    var datagrams: [SocketBinding]
    var streams: [ConnectionBinding]

    func close() {
        for binding in datagrams { binding.socket.close() }
        for case .passive(let share) in streams.map(\.kind) { share.close() }
    }
}

extension CallSession {
    /// Everything the options ask for, on each of the addresses.
    func openAllSockets(on loop: IOLoop, addresses: [HostAddress]) throws -> CallSockets {
        var sockets = CallSockets(datagrams: [], streams: [])
        if options.network.transports != .tcp { sockets.datagrams = try openSockets(on: loop, addresses: addresses) }
        do {
            sockets.streams = try openStreams(on: loop, addresses: addresses)
        } catch {
            sockets.close()
            throw error
        }
        return sockets
    }

    private func openStreams(on loop: IOLoop, addresses: [HostAddress]) throws -> [ConnectionBinding] {
        let network = options.network
        var bindings: [ConnectionBinding] = []
        // A link-local address needs its interface with every connection; TCP has better ones to use.
        for (index, address) in addresses.filter({ !$0.ip.isLinkLocal }).enumerated() {
            let preference = UInt16(clamping: 65_535 - index * 256)
            if network.iceTCP.isActive {
                bindings.append(
                    ConnectionBinding(.active(address.ip), interfaceName: address.interfaceName, preference: preference)
                )
            }
            guard network.iceTCP.isPassive else { continue }
            do {
                let share = try SocketSupply.process.listener(
                    loop: loop, on: address.ip, portChoice(for: address, flag: "--tcp-port", exactly: network.tcpPort))
                bindings.append(
                    ConnectionBinding(.passive(share), interfaceName: address.interfaceName, preference: preference))
                reporter.log(.debug, "tcp \(share.localAddress)")
            } catch {
                for case .passive(let share) in bindings.map(\.kind) { share.close() }
                if let error = error as? CallSetupError { throw error }
                throw CallSetupError("\(error)", status: .network)
            }
        }
        return bindings
    }
}
