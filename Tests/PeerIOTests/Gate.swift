import CLinuxIO
import Glibc
import Locks
import Primitives

@testable import PeerIO

/// Stands between a socket and sendmmsg, and fails as a kernel or a device would.
final class Gate: Sendable {
    private struct State {
        var allowance: Int?
        var segmentationError: Int32?
        var refused: (TransportAddress, Int32)?
    }
    private let state = Locked(State())

    /// Messages until the socket is full; `nil` is never.
    var allowance: Int? {
        get { state.withLock(\.allowance) }
        set { state.withLock { $0.allowance = newValue } }
    }
    /// What a message with segmentation gives.
    var segmentationError: Int32? {
        get { state.withLock(\.segmentationError) }
        set { state.withLock { $0.segmentationError = newValue } }
    }
    /// A destination, and what sending there gives.
    var refused: (TransportAddress, Int32)? {
        get { state.withLock(\.refused) }
        set { state.withLock { $0.refused = newValue } }
    }

    var call: UDPSocket.SendCall {
        return { descriptor, scratch, first, count in
            let batch = unsafe scratch.send
            let state = self.state.withLock { $0 }
            // The kernel stops before the first message that fails, and tells its error on the next call.
            var passed: Int32 = 0
            var code: Int32 = 0
            while passed < count {
                let message = first + passed
                if let allowance = state.allowance, passed >= allowance { code = EAGAIN }
                if let error = state.segmentationError, unsafe postern_send_datagrams_in(batch, message) > 1 {
                    code = error
                }
                if let (address, error) = state.refused {
                    var to = postern_address.none
                    unsafe postern_send_destination(batch, message, &to)
                    if to.transportAddress == address { code = error }
                }
                if code != 0 { break }
                passed += 1
            }
            guard passed > 0 else { return -code }
            let sent = unsafe postern_send(descriptor, batch, first, passed)
            if sent > 0, let allowance = state.allowance { self.allowance = allowance - Int(sent) }
            return sent
        }
    }
}
