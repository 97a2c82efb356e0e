import COpenSSL

/// The `BIO_METHOD` between OpenSSL and us: one write is one datagram, one read is one datagram, and the MTU is ours.
///
/// Memory BIOs would merge datagrams and know nothing of an MTU. Everything passes through the `OpenSSLConnection` that
/// the BIO's data points to; the connection frees its `SSL`, and with it the BIO, before it goes itself.
enum DatagramBIO {
    /// Built once for the process and never freed.
    private static nonisolated(unsafe) let method: OpaquePointer? = {
        let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = unsafe BIO_meth_new(type, "datagram") else { return nil }
        unsafe BIO_meth_set_write(method) { bio, bytes, count in
            guard let bio = unsafe bio, let bytes = unsafe bytes, count >= 0,
                let connection = unsafe connection(of: bio)
            else { return -1 }
            unsafe postern_BIO_clear_would_block(bio)
            unsafe connection.write(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
            return count
        }
        unsafe BIO_meth_set_read(method) { bio, buffer, size in
            guard let bio = unsafe bio, let buffer = unsafe buffer, size > 0,
                let connection = unsafe connection(of: bio)
            else { return -1 }
            unsafe postern_BIO_clear_would_block(bio)
            let count = unsafe connection.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: Int(size)))
            if count == nil { unsafe postern_BIO_set_would_block(bio) }
            return count.map(Int32.init) ?? -1
        }
        unsafe BIO_meth_set_ctrl(method) { bio, command, _, _ in
            guard let bio = unsafe bio, let connection = unsafe connection(of: bio) else { return 0 }
            switch command {
            case BIO_CTRL_FLUSH, BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT: return 1
            case BIO_CTRL_DGRAM_QUERY_MTU, BIO_CTRL_DGRAM_GET_MTU, BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
                return connection.mtu
            // No overhead: the MTU we are told is already that of a UDP payload.
            default: return 0
            }
        }
        return unsafe method
    }()

    /// A BIO that reads from and writes to `connection`, which must outlive it.
    static func make(for connection: OpenSSLConnection) -> OpaquePointer? {
        guard let method = unsafe method, let bio = unsafe BIO_new(method) else { return nil }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(connection).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    private static func connection(of bio: OpaquePointer) -> OpenSSLConnection? {
        guard let data = unsafe BIO_get_data(bio) else { return nil }
        return unsafe Unmanaged<OpenSSLConnection>.fromOpaque(data).takeUnretainedValue()
    }
}
