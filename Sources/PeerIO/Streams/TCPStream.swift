import CLinuxIO
import Glibc
import Primitives

/// A TCP socket with the bytes that wait for its kernel: what every connection does, whatever is framed on it. Its owner
/// closes it.
struct TCPStream {
    enum Input {
        case bytes([UInt8])
        /// There is no more for now.
        case nothing
        case ended
        case failed(Int32)
    }

    /// What a flush came to.
    struct Flushed {
        var calls = 0
        var isBlocked = false
        var error: Int32?
    }

    static let readSize = 65_536

    private(set) var descriptor: Int32
    /// For the kernel; `sent` of its bytes are gone.
    var output: [UInt8] = []
    private var sent = 0

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Begins to connect, from any port of an address of ours.
    /// - Parameter prepare: sets options of the socket that have to stand before.
    init(
        from local: IPAddress, to remote: TransportAddress, subject: String, prepare: (Int32) -> Void = { _ in }
    ) throws(SocketFailure) {
        let descriptor = postern_tcp_open(remote.ip.family.number)
        guard descriptor >= 0 else { throw SocketFailure(code: -descriptor, call: "socket", subject: subject) }
        self.init(descriptor: descriptor)
        do throws(SocketFailure) {
            let bound = postern_bind(descriptor, postern_address(local))
            guard bound == 0 else { throw SocketFailure(code: -bound, call: "bind", subject: subject) }
            prepare(descriptor)
            let result = postern_connect(descriptor, postern_address(remote))
            guard result == 0 || result == -EINPROGRESS else {
                throw SocketFailure(code: -result, call: "connect", subject: subject)
            }
        } catch {
            close()
            throw error
        }
    }

    /// Bytes that wait here.
    var queued: Int { output.count - sent }

    /// Gives the kernel what it takes.
    mutating func flush() -> Flushed {
        var flushed = Flushed()
        while queued > 0, descriptor >= 0 {
            let written = unsafe output.withUnsafeBufferPointer { bytes in
                unsafe postern_stream_write(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent)
            }
            guard written > 0 else {
                let code = Int32(clamping: -written)
                if code != EAGAIN, code != EINTR { flushed.error = code } else { flushed.isBlocked = true }
                break
            }
            flushed.calls += 1
            sent += written
        }
        if queued == 0 {
            output.removeAll(keepingCapacity: true)
            sent = 0
        } else if sent > Self.readSize {
            output.removeFirst(sent)
            sent = 0
        }
        return flushed
    }

    /// Reads once, `readSize` bytes at the most.
    func read() -> Input {
        var count = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Self.readSize) { buffer, used in
            count = unsafe postern_stream_read(descriptor, buffer.baseAddress, buffer.count)
            used = max(0, count)
        }
        guard count <= 0 else { return .bytes(bytes) }
        guard count < 0 else { return .ended }
        let code = Int32(clamping: -count)
        return code == EAGAIN || code == EINTR ? .nothing : .failed(code)
    }

    mutating func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
        output = []
        sent = 0
    }
}

/// Where a socket is bound.
func localAddress(of descriptor: Int32, subject: String) throws(SocketFailure) -> TransportAddress {
    var address = postern_address.none
    let result = unsafe postern_local_address(descriptor, &address)
    guard result == 0 else { throw SocketFailure(code: -result, call: "getsockname", subject: subject) }
    return address.transportAddress
}
