import COpenSSL

/// One key of one direction at work: AES-GCM (RFC 7714 §8 and §9) or AES-CM with HMAC-SHA1-80 (RFC 3711 §4.1, §4.2).
///
/// The OpenSSL context has its key from the start and gets a new IV for each packet; nothing is allocated for one. HMAC
/// goes over `SHA1_Update` with the two padded key blocks hashed beforehand: OpenSSL 3's own HMAC objects allocate.
@safe final class SRTPTransform {
    private static let tagLength = 16
    private static let shortTagLength = 10

    private let isAEAD: Bool
    private let context: OpaquePointer
    /// The salt, padded with zeros to 16 bytes, and room for the IV made of it.
    private let salt: UnsafeMutablePointer<UInt8>
    private let vector: UnsafeMutablePointer<UInt8>
    private var innerHash = SHA_CTX()
    private var outerHash = SHA_CTX()

    init(
        _ profile: SRTPProfile, key: [UInt8], salt saltBytes: [UInt8], authentication: [UInt8], isEncrypting: Bool
    ) throws(SRTPError) {
        guard key.count == profile.keyLength, saltBytes.count == profile.saltLength,
            let context = unsafe EVP_CIPHER_CTX_new()
        else { throw .backend(code: -1) }
        isAEAD = profile != .aes128CMHMACSHA1_80
        unsafe self.context = context
        unsafe salt = .allocate(capacity: 16)
        unsafe vector = .allocate(capacity: 16)
        unsafe salt.initialize(repeating: 0, count: 16)
        unsafe vector.initialize(repeating: 0, count: 16)
        for (index, byte) in saltBytes.enumerated() { unsafe salt[index] = byte }
        let cipher =
            switch profile {
            case .aeadAES128GCM: unsafe EVP_aes_128_gcm()
            case .aeadAES256GCM: unsafe EVP_aes_256_gcm()
            case .aes128CMHMACSHA1_80: unsafe EVP_aes_128_ctr()
            }
        guard unsafe EVP_CipherInit_ex(context, cipher, nil, key, nil, isEncrypting ? 1 : 0) == 1,
            hashPads(of: authentication)
        else { throw .backend(code: -1) }
    }

    deinit {
        unsafe EVP_CIPHER_CTX_free(context)
        unsafe salt.deallocate()
        unsafe vector.deallocate()
    }

    /// HMAC's two key blocks (RFC 2104): every tag starts from copies of these hashes.
    private func hashPads(of key: [UInt8]) -> Bool {
        let padded = key + [UInt8](repeating: 0, count: max(0, 64 - key.count))
        return unsafe padded.count == 64 && SHA1_Init(&innerHash) == 1 && SHA1_Init(&outerHash) == 1
            && SHA1_Update(&innerHash, padded.map { $0 ^ 0x36 }, 64) == 1
            && SHA1_Update(&outerHash, padded.map { $0 ^ 0x5C }, 64) == 1
    }

    // MARK: RTP

    /// The packet's `length` bytes, with room for the tag behind them, become SRTP.
    func protectRTP(
        _ packet: UnsafeMutablePointer<UInt8>, header: Int, length: Int, ssrc: UInt32, index: Int64
    ) -> Bool {
        if isAEAD {
            setVector(ssrc: ssrc, rtpIndex: index)
            return unsafe seal(packet, header: header, length: length, trailer: nil)
        }
        setCounter(ssrc: ssrc, index: UInt64(truncatingIfNeeded: index))
        guard unsafe applyKeystream(packet + header, length - header) else { return false }
        let rollover = UInt32(truncatingIfNeeded: index >> 16)
        return unsafe computeTag(packet, length, rollover: rollover) { tag in
            unsafe (packet + length).update(from: tag, count: Self.shortTagLength)
            return true
        }
    }

    /// The packet's `length` bytes, tag not counted, become RTP.
    func unprotectRTP(
        _ packet: UnsafeMutablePointer<UInt8>, header: Int, length: Int, ssrc: UInt32, index: Int64
    ) -> Bool {
        if isAEAD {
            setVector(ssrc: ssrc, rtpIndex: index)
            return unsafe open(packet, header: header, length: length, trailer: nil)
        }
        let rollover = UInt32(truncatingIfNeeded: index >> 16)
        let isAuthentic = unsafe computeTag(packet, length, rollover: rollover) { tag in
            unsafe CRYPTO_memcmp(tag, packet + length, Self.shortTagLength) == 0
        }
        guard isAuthentic else { return false }
        setCounter(ssrc: ssrc, index: UInt64(truncatingIfNeeded: index))
        return unsafe applyKeystream(packet + header, length - header)
    }

    // MARK: RTCP

    /// The packet's `length` bytes become SRTCP; behind them is room for the tag and the index word. AEAD puts the tag
    /// first (RFC 7714 §9.2), HMAC the index (RFC 3711 §3.4).
    func protectRTCP(_ packet: UnsafeMutablePointer<UInt8>, length: Int, ssrc: UInt32, index: UInt32) -> Bool {
        let word = index | 0x8000_0000
        if isAEAD {
            let trailer = unsafe packet + length + Self.tagLength
            unsafe store(word, at: trailer)
            setVector(ssrc: ssrc, rtcpIndex: index)
            return unsafe seal(packet, header: 8, length: length, trailer: trailer)
        }
        setCounter(ssrc: ssrc, index: UInt64(index))
        guard unsafe applyKeystream(packet + 8, length - 8) else { return false }
        unsafe store(word, at: packet + length)
        return unsafe computeTag(packet, length + 4, rollover: nil) { tag in
            unsafe (packet + length + 4).update(from: tag, count: Self.shortTagLength)
            return true
        }
    }

    /// The packet's `length` bytes, tag and index word not counted, become RTCP.
    func unprotectRTCP(_ packet: UnsafeMutablePointer<UInt8>, length: Int, ssrc: UInt32, index: UInt32) -> Bool {
        if isAEAD {
            setVector(ssrc: ssrc, rtcpIndex: index)
            return unsafe open(packet, header: 8, length: length, trailer: packet + length + Self.tagLength)
        }
        let isAuthentic = unsafe computeTag(packet, length + 4, rollover: nil) { tag in
            unsafe CRYPTO_memcmp(tag, packet + length + 4, Self.shortTagLength) == 0
        }
        guard isAuthentic else { return false }
        setCounter(ssrc: ssrc, index: UInt64(index))
        return unsafe applyKeystream(packet + 8, length - 8)
    }

    // MARK: IVs

    /// RFC 7714 §8.1: two zero bytes, SSRC, rollover counter, sequence number; all over the salt.
    @inline(__always)
    private func setVector(ssrc: UInt32, rtpIndex: Int64) {
        unsafe vector.update(from: salt, count: 12)
        combine(ssrc, at: 2)
        combine(UInt32(truncatingIfNeeded: rtpIndex >> 16), at: 6)
        unsafe vector[10] ^= UInt8(truncatingIfNeeded: rtpIndex >> 8)
        unsafe vector[11] ^= UInt8(truncatingIfNeeded: rtpIndex)
    }

    /// RFC 7714 §9.1: two zero bytes, SSRC, two zero bytes, the 31-bit index; all over the salt.
    @inline(__always)
    private func setVector(ssrc: UInt32, rtcpIndex: UInt32) {
        unsafe vector.update(from: salt, count: 12)
        combine(ssrc, at: 2)
        combine(rtcpIndex, at: 8)
    }

    /// RFC 3711 §4.1.1: salt · 2¹⁶ ⊕ SSRC · 2⁶⁴ ⊕ index · 2¹⁶.
    @inline(__always)
    private func setCounter(ssrc: UInt32, index: UInt64) {
        unsafe vector.update(from: salt, count: 16)
        combine(ssrc, at: 4)
        combine(UInt32(truncatingIfNeeded: index >> 16), at: 8)
        unsafe vector[12] ^= UInt8(truncatingIfNeeded: index >> 8)
        unsafe vector[13] ^= UInt8(truncatingIfNeeded: index)
    }

    @inline(__always)
    private func combine(_ word: UInt32, at offset: Int) {
        unsafe vector[offset] ^= UInt8(truncatingIfNeeded: word >> 24)
        unsafe vector[offset + 1] ^= UInt8(truncatingIfNeeded: word >> 16)
        unsafe vector[offset + 2] ^= UInt8(truncatingIfNeeded: word >> 8)
        unsafe vector[offset + 3] ^= UInt8(truncatingIfNeeded: word)
    }

    @inline(__always)
    private func store(_ word: UInt32, at bytes: UnsafeMutablePointer<UInt8>) {
        unsafe bytes[0] = UInt8(truncatingIfNeeded: word >> 24)
        unsafe bytes[1] = UInt8(truncatingIfNeeded: word >> 16)
        unsafe bytes[2] = UInt8(truncatingIfNeeded: word >> 8)
        unsafe bytes[3] = UInt8(truncatingIfNeeded: word)
    }

    // MARK: AES

    /// Encrypts from `header` to `length` and writes the tag behind; the header and a trailer of four bytes are
    /// authenticated with it.
    private func seal(
        _ packet: UnsafeMutablePointer<UInt8>, header: Int, length: Int, trailer: UnsafeMutablePointer<UInt8>?
    ) -> Bool {
        var written = Int32(0)
        guard unsafe authenticate(packet, header: header, trailer: trailer),
            unsafe applyUpdate(packet + header, length - header),
            unsafe EVP_CipherFinal_ex(context, packet + length, &written) == 1
        else { return false }
        return unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagLength), packet + length) == 1
    }

    /// Decrypts from `header` to `length`, behind which the tag stands.
    private func open(
        _ packet: UnsafeMutablePointer<UInt8>, header: Int, length: Int, trailer: UnsafeMutablePointer<UInt8>?
    ) -> Bool {
        var written = Int32(0)
        return unsafe authenticate(packet, header: header, trailer: trailer)
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagLength), packet + length) == 1
            && applyUpdate(packet + header, length - header)
            && EVP_CipherFinal_ex(context, packet + length, &written) == 1
    }

    @inline(__always)
    private func authenticate(
        _ packet: UnsafeMutablePointer<UInt8>, header: Int, trailer: UnsafeMutablePointer<UInt8>?
    ) -> Bool {
        var written = Int32(0)
        guard unsafe EVP_CipherInit_ex(context, nil, nil, nil, vector, -1) == 1,
            unsafe EVP_CipherUpdate(context, nil, &written, packet, Int32(truncatingIfNeeded: header)) == 1
        else { return false }
        guard let trailer = unsafe trailer else { return true }
        return unsafe EVP_CipherUpdate(context, nil, &written, trailer, 4) == 1
    }

    @inline(__always)
    private func applyUpdate(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> Bool {
        guard count > 0 else { return true }
        var written = Int32(0)
        return unsafe EVP_CipherUpdate(context, bytes, &written, bytes, Int32(truncatingIfNeeded: count)) == 1
    }

    @inline(__always)
    private func applyKeystream(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> Bool {
        unsafe EVP_CipherInit_ex(context, nil, nil, nil, vector, -1) == 1 && applyUpdate(bytes, count)
    }

    // MARK: HMAC-SHA1

    /// RFC 3711 §4.2: over the packet, for RTP with the rollover counter behind it.
    @inline(__always)
    private func computeTag(
        _ packet: UnsafeMutablePointer<UInt8>, _ length: Int, rollover: UInt32?,
        _ use: (UnsafePointer<UInt8>) -> Bool
    ) -> Bool {
        var hash = innerHash
        guard unsafe SHA1_Update(&hash, packet, length) == 1 else { return false }
        if let rollover {
            var bigEndian = rollover.bigEndian
            guard unsafe SHA1_Update(&hash, &bigEndian, 4) == 1 else { return false }
        }
        return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { tag in
            guard let tag = tag.baseAddress, unsafe SHA1_Final(tag, &hash) == 1 else { return false }
            hash = outerHash
            guard unsafe SHA1_Update(&hash, tag, 20) == 1, unsafe SHA1_Final(tag, &hash) == 1 else { return false }
            return unsafe use(tag)
        }
    }
}
