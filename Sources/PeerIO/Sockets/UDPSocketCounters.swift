/// What a socket did since it was opened.
public struct UDPSocketCounters: Hashable, Sendable {
    /// Calls of recvmmsg, those that found nothing included.
    public var receiveCalls = 0
    public var datagramsReceived = 0
    public var bytesReceived = 0
    /// Messages in which the kernel gave several datagrams at once (GRO), and the datagrams in them.
    public var coalescedMessages = 0
    public var coalescedDatagrams = 0
    /// Datagrams longer than the buffer, thrown away.
    public var receiveTruncated = 0
    /// Datagrams that the kernel threw away because the receive buffer was full (SO_RXQ_OVFL, 32 bits).
    public var receiveOverflows = 0

    /// Calls of sendmmsg.
    public var sendCalls = 0
    public var datagramsSent = 0
    public var bytesSent = 0
    /// Messages that the kernel or the device cut into datagrams (GSO), and the datagrams in them.
    public var segmentedMessages = 0
    public var segmentedDatagrams = 0
    /// Times the socket had no room (EAGAIN).
    public var sendBlocked = 0
    /// Datagrams dropped because the queue behind a blocked socket was full.
    public var sendQueueDropped = 0
    /// Datagrams dropped by the device's queue (ENOBUFS).
    public var sendDeviceDropped = 0
    /// Datagrams that the system refused to send. Each is reported as a `SocketError`.
    public var sendRefused = 0

    /// Reports read from the error queue.
    public var errorsReported = 0

    public init() {}
}
