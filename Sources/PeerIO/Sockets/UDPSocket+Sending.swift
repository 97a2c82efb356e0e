import CLinuxIO
import Glibc
import Primitives

extension UDPSocket {
    /// Sends datagrams in order; their `path.local` matters only on a socket bound to the unspecified address.
    ///
    /// Whatever goes wrong is reported to the owner later, by destination, or counted. On the loop's thread, after
    /// `start`.
    public func send(_ datagrams: [Datagram]) {
        loop.assertOnLoop()
        guard isOpen else { return }
        let sent = queue.isEmpty ? transmit(datagrams[...]) : 0
        if sent < datagrams.count {
            queue.append(contentsOf: datagrams[sent...])
            awaitRoom(true)
        }
        deliverErrorsLater()
    }

    /// There is room again.
    func flushQueue() {
        queue.removeFirst(transmit(queue.waiting))
        awaitRoom(!queue.isEmpty)
        deliverErrors()
    }

    /// Sends what can be sent. The number of datagrams done with: sent, dropped or reported.
    private func transmit(_ datagrams: ArraySlice<Datagram>) -> Int {
        let scratch = loop.sharedScratch()
        let batch = unsafe scratch.send
        var next = datagrams.startIndex
        /// Up to here datagrams go one by one, after a message that could not be cut.
        var singleUntil = next
        /// The refusals counted before those, while it is open whether the device or the datagrams are to blame.
        var refusedBefore: Int?
        func judgeDevice() {
            guard let before = refusedBefore, next >= singleUntil else { return }
            if counted.sendRefused == before { usesSegmentation = false }
            refusedBefore = nil
        }
        var hasRetried = false
        defer { judgeDevice() }
        while next < datagrams.endIndex {
            judgeDevice()
            let isSingle = next < singleUntil
            let part = isSingle ? datagrams[next..<singleUntil] : datagrams[next...]
            guard unsafe fill(batch, from: part, segmenting: usesSegmentation && !isSingle) else {
                refuse(datagrams[next], unsendable(datagrams[next]) ?? EMSGSIZE)
                next += 1
                continue
            }
            let total = unsafe batch.pointee.count
            var first: Int32 = 0
            while first < total {
                let result = sendCall(descriptor, scratch, first, total - first)
                counted.sendCalls &+= 1
                if result > 0 {
                    for message in first..<Swift.min(first + result, total) { unsafe count(batch, message, &next) }
                    first += result
                    hasRetried = false
                    continue
                }
                let code = result == 0 ? EAGAIN : -result
                let size = unsafe Int(postern_send_datagrams_in(batch, first))
                if code == EINTR { continue }
                if code == EAGAIN {
                    counted.sendBlocked &+= 1
                    return next - datagrams.startIndex
                }
                if size > 1, code == EIO || code == EINVAL || code == EMSGSIZE {
                    // EIO is the device's inability. EINVAL may be, if single datagrams pass. EMSGSIZE is the path's MTU.
                    if code == EIO { usesSegmentation = false }
                    if code == EINVAL { refusedBefore = counted.sendRefused }
                    singleUntil = next + size
                    break
                }
                if code == ENOBUFS {
                    counted.sendDeviceDropped &+= size
                } else if !hasRetried {
                    readErrorQueue()
                    hasRetried = true
                    continue
                } else {
                    for index in next..<next + size { refuse(datagrams[index], code) }
                }
                hasRetried = false
                next += size
                first += 1
            }
        }
        return datagrams.count
    }

    /// Puts datagrams into the batch, in order, until it is full. False if even the first cannot be sent.
    private func fill(
        _ batch: UnsafeMutablePointer<postern_send_batch>, from datagrams: ArraySlice<Datagram>, segmenting: Bool
    ) -> Bool {
        unsafe postern_send_reset(batch)
        let isWildcard = configuration.address.isUnspecified
        var index = datagrams.startIndex
        while index < datagrams.endIndex {
            let length = datagrams[index].bytes.count
            guard unsendable(datagrams[index]) == nil, unsafe postern_send_has_room(batch, UInt32(length)) != 0 else {
                break
            }
            let path = datagrams[index].path
            unsafe datagrams[index].bytes.withUnsafeBufferPointer { bytes in
                unsafe postern_send_begin(
                    batch, postern_address(path.remote, scope: configuration.interfaceIndex),
                    isWildcard && !path.local.ip.isUnspecified
                        ? postern_address(path.local.ip, scope: configuration.interfaceIndex) : .none,
                    bytes.baseAddress, UInt32(length))
            }
            index += 1
            guard segmenting, length > 0 else { continue }
            var segments = 1
            var total = length
            while index < datagrams.endIndex, segments < Self.mostSegments {
                let more = datagrams[index].bytes.count
                guard more <= length, more > 0, total + more <= Self.largestSegmentedMessage,
                    datagrams[index].path == path, unsafe postern_send_can_extend(batch, UInt32(more)) != 0
                else { break }
                unsafe datagrams[index].bytes.withUnsafeBufferPointer {
                    unsafe postern_send_extend(batch, $0.baseAddress, UInt32(more))
                }
                index += 1
                segments += 1
                total += more
                if more < length { break }
            }
            if segments > 1 { unsafe postern_send_segment(batch, UInt16(truncatingIfNeeded: length)) }
        }
        return index > datagrams.startIndex
    }

    /// The error number of a datagram that no kernel could send from here.
    private func unsendable(_ datagram: Datagram) -> Int32? {
        if datagram.bytes.count > Self.largestPayload { return EMSGSIZE }
        return datagram.path.remote.ip.family == configuration.address.family ? nil : EAFNOSUPPORT
    }

    private func count(_ batch: UnsafeMutablePointer<postern_send_batch>, _ message: Int32, _ next: inout Int) {
        let datagrams = unsafe Int(postern_send_datagrams_in(batch, message))
        next += datagrams
        counted.datagramsSent &+= datagrams
        counted.bytesSent &+= unsafe Int(postern_send_bytes_in(batch, message))
        if datagrams > 1 {
            counted.segmentedMessages &+= 1
            counted.segmentedDatagrams &+= datagrams
        }
    }

    private func refuse(_ datagram: Datagram, _ code: Int32) {
        counted.sendRefused &+= 1
        let path = NetworkPath(local: localAddress, remote: datagram.path.remote)
        // The report of this host, read from the error queue before the second attempt, knows the MTU but not the port.
        if code == EMSGSIZE, let (ip, mtu) = localMTU, ip == path.remote.ip {
            note(SocketError(path: path, reason: .messageTooBig(mtu: mtu)))
        } else {
            note(SocketError(path: path, reason: .init(errno: code)))
        }
    }
}
