import DTLSSRTP
import ICE
import Primitives

/// What a call of the command line is to do. The same for every kind of call.
public struct CallOptions: Sendable {
    /// What is sent: a path, `test`, `-` for a pipe; `nil` sends nothing.
    public var send: String?
    /// Where what is received goes; the extension says how. `nil` records nothing.
    public var record: String?
    /// How long the call is held; `nil` until the source ends, the other side hangs up or a signal comes.
    public var duration: TimeDelta?
    /// How long a call may take to be set up before it counts as failed.
    public var setupTimeout: TimeDelta = .seconds(75)
    /// Telephone keys to send in the call.
    public var keys: TelephoneKeys?
    /// Commands that are due at their time in the call.
    public var commands: [ScheduledCommand] = []
    /// Where commands are read from, a line each: a file, a named pipe, `-` for standard input.
    public var controlPath: String?
    public var media = MediaOptions()
    public var network = NetworkOptions()
    /// Where the typed trace goes as NDJSON.
    public var eventsPath: String?
    public var reportPath: String?
    public var expectations: [Expectation] = []

    public init() {}
}

/// Keys to press, `0`-`9`, `A`-`D`, `*`, `#`, and `,` for a pause, some time after the call stands.
public struct TelephoneKeys: Hashable, Sendable {
    public var digits: String
    public var after: TimeDelta

    public init(digits: String, after: TimeDelta) {
        self.digits = digits
        self.after = after
    }
}

/// What is encoded and how.
public struct MediaOptions: Hashable, Sendable {
    public var videoBitrate: Int?
    public var audioBitrate: Int?
    public var videoSize: (width: Int, height: Int)? {
        get { width.flatMap { width in height.map { (width, $0) } } }
        set {
            width = newValue?.width
            height = newValue?.height
        }
    }
    private var width: Int?
    private var height: Int?
    public var framesPerSecond: Double?
    public var passthrough = false
    public var loop = false
    public var dtx = false
    /// The format of what comes through a pipe, such as `y4m` or `s16le:48000:2`.
    public var inputFormat: String?

    public init() {}
}

/// Where packets may go.
public struct NetworkOptions: Hashable, Sendable {
    public var iceServers: [ICEServerURL] = []
    /// For TURN servers whose URL has no credentials.
    public internal(set) var login = TURNLogin.none
    /// Addresses that peers are seen as by a TURN server of ours.
    public var relayPeers: [IPAddress] = []
    /// Whose certificates of TURN servers are believed.
    public var relayTrust = TLSTrust()
    /// Which relayed addresses are asked for.
    public var relayFamilies = TURNAllocation.RequestedFamilies.ipv4
    /// What servers over TCP and TLS are reached through.
    public internal(set) var proxy: HTTPProxy?
    /// Which candidates may be used.
    public internal(set) var icePolicy = ICETransportPolicy.all
    public var portRange: ClosedRange<UInt16>?
    /// One port for all calls of the process.
    public var udpPort: UInt16?
    /// What is announced for our addresses and where is sent for others'.
    public internal(set) var mapping = AddressMapping.identity
    public var allowsAsymmetricProxy = false
    public var isICELite = false
    /// Addresses to gather on; the first empty means both families, the second any network.
    public internal(set) var families: Set<IPAddress.Family> = []
    public internal(set) var networks: [NetworkPrefix] = []
    /// Only those that traffic to the internet leaves by (RFC 8828 §5.2, mode 2).
    public internal(set) var isDefaultRouteOnly = false
    /// Private addresses are used and not announced (mode 3).
    public internal(set) var hidesPrivateAddresses = false
    /// Interfaces to gather on; empty means all that fit.
    public var interfaces: [String] = []
    /// The certificate to use; `nil` makes one for this run.
    public var certificate: CertificateFiles?

    public init() {}
}

/// Paths of a PEM certificate and its key.
public struct CertificateFiles: Hashable, Sendable {
    public var certificate: String
    public var key: String

    public init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}
