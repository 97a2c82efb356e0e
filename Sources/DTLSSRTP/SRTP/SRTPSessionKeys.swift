import COpenSSL

/// The keys of one direction, derived from its master key and salt (RFC 3711 §4.3, RFC 7714 §11), key derivation rate 0.
struct SRTPSessionKeys {
    var rtpKey: [UInt8]
    var rtpSalt: [UInt8]
    /// For HMAC-SHA1, 20 bytes; not used by the AEAD profiles.
    var rtpAuthentication: [UInt8]
    var rtcpKey: [UInt8]
    var rtcpSalt: [UInt8]
    var rtcpAuthentication: [UInt8]
}

extension SRTPSessionKeys {
    init(_ profile: SRTPProfile, masterKey: [UInt8], masterSalt: [UInt8]) throws(SRTPError) {
        func derive(_ label: UInt8, _ length: Int) throws(SRTPError) -> [UInt8] {
            // AES in counter mode over zeros; the label meets byte 7 of the 14-byte salt, which a 12-byte salt is padded to.
            var counter = masterSalt + [UInt8](repeating: 0, count: 16 - masterSalt.count)
            counter[7] ^= label
            guard let bytes = keystream(key: masterKey, counter: counter, length: length) else {
                throw .backend(code: -1)
            }
            return bytes
        }
        guard masterKey.count == profile.keyLength, masterSalt.count == profile.saltLength else { throw .malformed }
        rtpKey = try derive(0, profile.keyLength)
        rtpAuthentication = try derive(1, 20)
        rtpSalt = try derive(2, profile.saltLength)
        rtcpKey = try derive(3, profile.keyLength)
        rtcpAuthentication = try derive(4, 20)
        rtcpSalt = try derive(5, profile.saltLength)
    }
}

private func keystream(key: [UInt8], counter: [UInt8], length: Int) -> [UInt8]? {
    guard let context = unsafe EVP_CIPHER_CTX_new() else { return nil }
    defer { unsafe EVP_CIPHER_CTX_free(context) }
    let cipher = unsafe key.count == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr()
    let zeros = [UInt8](repeating: 0, count: length)
    var result = [UInt8](repeating: 0, count: length + 16)
    var written = Int32(0)
    guard unsafe EVP_EncryptInit_ex(context, cipher, nil, key, counter) == 1,
        unsafe EVP_EncryptUpdate(context, &result, &written, zeros, Int32(length)) == 1, Int(written) == length
    else { return nil }
    result.removeLast(16)
    return result
}
