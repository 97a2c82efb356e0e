import Primitives

/// Peers on this address may send to our relayed addresses (RFC 8656 §9).
struct TURNPermission: Sendable {
    var ip: IPAddress
    /// When to ask (again); `nil` while a request is under way and after a refusal.
    var due: Instant?
    var isInstalled = false
}

/// A number in place of a peer's address (RFC 8656 §12).
struct TURNChannel: Sendable {
    var peer: TransportAddress
    /// 0x4000 … 0x4FFF; none before the first request of an allocation.
    var number: UInt16?
    /// When to ask (again); `nil` while a request is under way and after a refusal.
    var due: Instant?
    /// Whether the server has confirmed it: only then is anything sent on it.
    var isBound = false

    static let numbers: ClosedRange<UInt16> = 0x4000...0x4FFF
}

/// What travels on a channel: number, length, data (RFC 8656 §12.4).
enum ChannelData {
    static let headerSize = 4

    static func message(_ number: UInt16, _ data: [UInt8], isPadded: Bool) -> [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(headerSize + data.count + 3)
        message.append(number)
        message.append(UInt16(truncatingIfNeeded: data.count))
        message.append(contentsOf: data)
        if isPadded { while message.count % 4 != 0 { message.append(0 as UInt8) } }
        return message
    }

    /// Takes the data out of a message, in place. `nil` when it is no ChannelData or shorter than it says.
    static func unwrap(_ message: inout [UInt8]) -> UInt16? {
        guard message.count >= headerSize else { return nil }
        let number = UInt16(message[0]) << 8 | UInt16(message[1])
        let length = Int(message[2]) << 8 | Int(message[3])
        guard TURNChannel.numbers.contains(number), length <= message.count - headerSize else { return nil }
        // What follows the data is padding (RFC 8656 §12.5).
        message.removeLast(message.count - headerSize - length)
        message.removeFirst(headerSize)
        return number
    }
}
