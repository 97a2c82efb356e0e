import Primitives

/// The port a socket is to have.
public enum PortChoice: Hashable, Sendable {
    /// Whichever the system has to give.
    case any
    case exactly(UInt16)
    /// The first free one, in order. `startingAt` begins within the range and wraps, so that calls that follow each
    /// other need not share a port.
    case range(ClosedRange<UInt16>, startingAt: UInt16? = nil)
}

extension PortChoice: CustomStringConvertible {
    public var description: String {
        switch self {
        case .any: "any port"
        case .exactly(let port): "port \(port)"
        case .range(let range, _): "port range \(range.lowerBound)-\(range.upperBound)"
        }
    }
}

/// How a UDP socket for media is opened.
public struct UDPSocketConfiguration: Hashable, Sendable {
    /// An address of this host, or the unspecified one of a family: then each datagram carries its own local address.
    public var address: IPAddress
    public var port: PortChoice
    /// The interface of a link-local IPv6 address (its zone), 0 otherwise.
    public var interfaceIndex: UInt32
    /// Bytes of kernel buffer asked for. The system may grant less; `UDPSocket.receiveBufferSize` tells.
    public var receiveBufferSize: Int
    public var sendBufferSize: Int
    /// Datagrams kept while the socket has no room. A full queue drops its oldest.
    public var sendQueueLimit: Int
    /// Datagrams read before timers and other sockets have their turn. One read may go over it by a batch.
    public var receiveBudget: Int
    /// Segmentation of bursts to one destination (UDP_SEGMENT), where the kernel knows it.
    public var usesSegmentation: Bool
    /// Receiving of bursts as one (UDP_GRO), where the kernel knows it.
    public var usesCoalescing: Bool
    /// TOS or traffic class byte of what is sent: DSCP in the upper six bits (RFC 8837), ECN in the lower two.
    public var trafficClass: UInt8

    public init(
        address: IPAddress, port: PortChoice = .any, interfaceIndex: UInt32 = 0, receiveBufferSize: Int = 4 << 20,
        sendBufferSize: Int = 2 << 20, sendQueueLimit: Int = 1024, receiveBudget: Int = 512,
        usesSegmentation: Bool = true, usesCoalescing: Bool = true, trafficClass: UInt8 = 0
    ) {
        self.address = address
        self.port = port
        self.interfaceIndex = interfaceIndex
        self.receiveBufferSize = receiveBufferSize
        self.sendBufferSize = sendBufferSize
        self.sendQueueLimit = sendQueueLimit
        self.receiveBudget = receiveBudget
        self.usesSegmentation = usesSegmentation
        self.usesCoalescing = usesCoalescing
        self.trafficClass = trafficClass
    }
}
