import Primitives

/// What a connection sends and receives by: a UDP socket of its own, or its share of one that several connections use.
public protocol MediaSocket: AnyObject {
    /// The loop it belongs to; its connection must be on it.
    var loop: IOLoop { get }
    var localAddress: TransportAddress { get }
    var counters: UDPSocketCounters { get }
    /// Begins to receive, for `owner`, held weakly. On the loop's thread, once.
    func start(owner: any UDPSocketOwner) throws(SocketFailure)
    /// Sends in order, in as few system calls as there are ways.
    func send(_ datagrams: [Datagram])
    /// The ICE user fragments that its connection answers to now.
    func setUfrags(_ ufrags: [String])
    /// Receives and sends no more. Idempotent.
    func close()
}

extension UDPSocket: MediaSocket {
    /// A socket of its own needs no names.
    public func setUfrags(_ ufrags: [String]) {}
}
