import CLinuxIO
import Glibc
import Primitives

extension UDPSocket {
    /// Reads the error queue into `pendingErrors` and clears the pending error.
    func readErrorQueue() {
        var raw = postern_socket_error()
        for _ in 0..<Self.errorsPerRead {
            guard unsafe postern_read_error(descriptor, &raw) > 0 else { break }
            counted.errorsReported &+= 1
            if let error = SocketError(raw, local: localAddress) {
                note(error)
            } else if raw.code == UInt32(EMSGSIZE), raw.info > 0, raw.destination.family != 0 {
                localMTU = (raw.destination.ip, Int(raw.info))
            }
        }
        _ = postern_take_error(descriptor)
    }

    /// Keeps an error for delivery. A flood of them is cut: the same one is told once, and only so many.
    func note(_ error: SocketError) {
        guard pendingErrors.count < Self.errorsPerRead, !pendingErrors.contains(error) else { return }
        pendingErrors.append(error)
    }

    /// Hands the errors to the owner. Only from the top of the loop, never from within a call of the owner.
    func deliverErrors() {
        guard !pendingErrors.isEmpty else { return }
        var errors: [SocketError] = []
        swap(&errors, &pendingErrors)
        owner?.receive(errors, at: loop.now)
    }

    func deliverErrorsLater() {
        guard !pendingErrors.isEmpty, !isDeliveryDue else { return }
        isDeliveryDue = true
        loop.executeHere { [self] in
            isDeliveryDue = false
            deliverErrors()
        }
    }
}
