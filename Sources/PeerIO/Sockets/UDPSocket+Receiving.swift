import CLinuxIO
import Glibc
import Primitives

extension UDPSocket {
    /// Reads until the socket is empty or the budget is spent; epoll tells again of what is left.
    func receiveAvailable() {
        let scratch = unsafe loop.sharedScratch().receive
        var budget = configuration.receiveBudget
        while budget > 0, isOpen, let owner {
            let count = unsafe postern_receive(descriptor, scratch)
            counted.receiveCalls &+= 1
            guard count > 0 else {
                if count == 0 { return }
                if count == -EINTR { continue }
                // A pending ICMP error: reading the error queue clears it.
                readErrorQueue()
                deliverErrors()
                budget -= Int(POSTERN_RECEIVE_MESSAGES)
                continue
            }
            var batch = DatagramBatch()
            swap(&batch, &spare)
            batch.arrival = loop.now
            for index in 0..<count { unsafe append(scratch, index, to: &batch) }
            budget -= batch.count
            counted.datagramsReceived &+= batch.count
            if !batch.isEmpty { owner.receive(&batch) }
            batch.removeAll()
            swap(&batch, &spare)
            if count < POSTERN_RECEIVE_MESSAGES { return }
        }
    }

    private func append(
        _ scratch: UnsafeMutablePointer<postern_receive_batch>, _ index: Int32, to batch: inout DatagramBatch
    ) {
        let received = unsafe postern_received_at(scratch, index).pointee
        if received.has_drops != 0 { counted.receiveOverflows = Int(received.drops) }
        guard received.is_truncated == 0, received.remote.family != 0 else {
            counted.receiveTruncated &+= 1
            return
        }
        let path = NetworkPath(
            local: received.local.family == 0
                ? localAddress : TransportAddress(received.local.ip, localAddress.port),
            remote: received.remote.transportAddress)
        let length = Int(received.length)
        counted.bytesReceived &+= length
        let buffer = unsafe UnsafeBufferPointer(start: postern_buffer_at(scratch, index), count: length)
        let segment = Int(received.segment)
        guard segment > 0, segment < length else {
            unsafe batch.append(buffer, path, received.traffic_class)
            return
        }
        counted.coalescedMessages &+= 1
        var offset = 0
        while offset < length {
            let end = Swift.min(offset + segment, length)
            unsafe batch.append(UnsafeBufferPointer(rebasing: buffer[offset..<end]), path, received.traffic_class)
            counted.coalescedDatagrams &+= 1
            offset = end
        }
    }
}

extension DatagramBatch {
    @inline(__always)
    fileprivate mutating func append(_ bytes: UnsafeBufferPointer<UInt8>, _ path: NetworkPath, _ trafficClass: UInt8) {
        unsafe datagrams.append(Datagram(bytes: Array(bytes), path: path))
        trafficClasses.append(trafficClass)
    }
}
