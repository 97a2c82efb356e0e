import CLinuxIO

/// The buffers of one batch read and one batch written, shared by all sockets of a loop, for one of them works at a time.
@safe final class PacketScratch {
    let receive: UnsafeMutablePointer<postern_receive_batch>
    let send: UnsafeMutablePointer<postern_send_batch>

    init() {
        guard let receive = unsafe postern_receive_batch_create(), let send = unsafe postern_send_batch_create() else {
            preconditionFailure("no memory for the packet buffers")
        }
        unsafe self.receive = receive
        unsafe self.send = send
    }

    deinit {
        unsafe postern_receive_batch_free(receive)
        unsafe postern_send_batch_free(send)
    }
}
