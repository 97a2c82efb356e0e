/// Whether TCP connections are made and accepted for ICE (RFC 6544).
public enum ICETCPMode: String, Hashable, Sendable, CaseIterable {
    case off
    /// Connections are made to the other side's listeners, as browsers do.
    case active
    /// Connections are accepted.
    case passive
    case both

    public var isActive: Bool { self == .active || self == .both }
    public var isPassive: Bool { self == .passive || self == .both }
}

/// Which transports candidates are of.
public enum ICETransports: String, Hashable, Sendable, CaseIterable {
    case all
    case udp
    case tcp
}

extension NetworkOptions {
    /// `--ice-tcp`, `--tcp-port` and `--ice-transport`, after everything else about the network is known.
    ///
    /// Without a word connections are made and not accepted: it opens no port, and where UDP works none is left. A port says
    /// that they are accepted, too; `--ice-transport tcp` that they are all there is.
    public mutating func setStreams(mode: String?, port: String?, transport: String) throws(NetworkOptionError) {
        guard let transports = ICETransports(rawValue: transport) else {
            throw NetworkOptionError(description: "--ice-transport \(transport): write all, udp or tcp")
        }
        self.transports = transports
        if let port { tcpPort = try Self.port(port, flag: "--tcp-port") }
        if let mode {
            guard let chosen = ICETCPMode(rawValue: mode) else {
                throw NetworkOptionError(description: "--ice-tcp \(mode): write off, active, passive or both")
            }
            iceTCP = chosen
            if tcpPort != nil, !chosen.isPassive {
                throw NetworkOptionError(
                    description:
                        "--tcp-port \(tcpPort ?? 0) is where connections are accepted, and --ice-tcp \(mode) accepts "
                        + "none: write --ice-tcp passive or both")
            }
        } else {
            iceTCP = transports == .tcp || tcpPort != nil ? .both : .active
        }
        if let problem = streamProblem(isChosen: mode != nil) { throw NetworkOptionError(description: problem) }
        if transports == .udp || icePolicy == .relay { iceTCP = .off }
        // Who never sends checks makes no connections.
        if isICELite { iceTCP = iceTCP.isPassive ? .passive : .off }
    }

    /// One port, of a flag.
    public static func port(_ text: String, flag: String) throws(NetworkOptionError) -> UInt16 {
        guard let port = UInt16(text), port > 0 else {
            throw NetworkOptionError(description: "\(flag) \(text): write one port from 1 to 65535, such as 30008")
        }
        return port
    }

    private func streamProblem(isChosen: Bool) -> String? {
        switch transports {
        case .udp where isChosen && iceTCP != .off:
            return "--ice-transport udp and --ice-tcp \(iceTCP.rawValue) exclude each other"
        case .udp where tcpPort != nil: return "--ice-transport udp and --tcp-port exclude each other"
        case .tcp where iceTCP == .off: return "--ice-transport tcp and --ice-tcp off leave nothing to connect by"
        case .tcp where udpPort != nil: return "--ice-transport tcp uses no UDP port: leave out --udp-port"
        case .tcp where icePolicy == .relay:
            return "--ice-transport tcp is about direct connections: to reach the relay itself by TCP, write "
                + "--ice-server turn:HOST:PORT?transport=tcp"
        case .tcp where isICELite && !iceTCP.isPassive:
            return "--ice-lite makes no connections: with --ice-transport tcp it needs --ice-tcp passive"
        default: break
        }
        if isICELite, isChosen, iceTCP == .active {
            return "--ice-lite makes no connections: write --ice-tcp passive or off"
        }
        if icePolicy == .relay, tcpPort != nil || (isChosen && iceTCP != .off) {
            return "--ice-policy relay uses no connections of ours: leave out --ice-tcp and --tcp-port"
        }
        return nil
    }
}
