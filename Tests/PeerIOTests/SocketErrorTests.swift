import CLinuxIO
import Glibc
import Primitives
import Testing

@testable import PeerIO

@Suite(.serialized) struct SocketErrorTests {
    private static let local = TransportAddress(IPAddress(v4: 0xC000_0205), 30_008)
    private static let remote = TransportAddress(IPAddress(v4: 0xCB00_7128), 30_153)
    private static let router = IPAddress(v4: 0xC000_0201)

    private static func raw(
        origin: Int, type: UInt8, code: UInt8, info: UInt32 = 0, errno: Int32 = EHOSTUNREACH
    ) -> postern_socket_error {
        var raw = postern_socket_error()
        raw.destination = postern_address(remote)
        raw.offender = postern_address(router)
        raw.origin = UInt8(origin)
        raw.type = type
        raw.icmp_code = code
        raw.info = info
        raw.code = UInt32(errno)
        return raw
    }

    @Test(arguments: [
        (3, 0, 0, SocketError.Reason.networkUnreachable, "network unreachable"),
        (3, 1, 0, .hostUnreachable, "host unreachable"),
        (3, 2, 0, .protocolUnreachable, "protocol unreachable"),
        (3, 3, 0, .portUnreachable, "port unreachable"),
        (3, 4, 1400, .messageTooBig(mtu: 1400), "message too big, MTU 1400"),
        (3, 4, 0, .messageTooBig(mtu: nil), "message too big"),
        (3, 9, 0, .administrativelyProhibited, "administratively prohibited"),
        (3, 13, 0, .administrativelyProhibited, "administratively prohibited"),
        (11, 0, 0, .timeExceeded, "time exceeded"),
        (12, 0, 0, .hostUnreachable, "host unreachable"),
    ])
    func icmpIsNamed(_ type: UInt8, _ code: UInt8, _ info: UInt32, _ reason: SocketError.Reason, _ text: String) throws
    {
        let raw = Self.raw(origin: Int(SO_EE_ORIGIN_ICMP), type: type, code: code, info: info)
        let error = try #require(SocketError(raw, local: Self.local))
        #expect(error.reason == reason)
        #expect(error.reporter == Self.router)
        #expect(
            error.description
                == "192.0.2.5:30008→203.0.113.40:30153: \(text), says 192.0.2.1 (ICMP type \(type) code \(code))")
    }

    @Test(arguments: [
        (1, 0, 0, SocketError.Reason.networkUnreachable), (1, 1, 0, .administrativelyProhibited),
        (1, 3, 0, .hostUnreachable), (1, 4, 0, .portUnreachable), (1, 5, 0, .administrativelyProhibited),
        (2, 0, 1280, .messageTooBig(mtu: 1280)), (3, 0, 0, .timeExceeded),
    ])
    func icmpV6IsNamed(_ type: UInt8, _ code: UInt8, _ info: UInt32, _ reason: SocketError.Reason) throws {
        let raw = Self.raw(origin: Int(SO_EE_ORIGIN_ICMP6), type: type, code: code, info: info)
        #expect(try #require(SocketError(raw, local: Self.local)).reason == reason)
    }

    @Test func aReportOfThisHostIsLeftToTheSendCall() {
        let raw = Self.raw(origin: Int(SO_EE_ORIGIN_LOCAL), type: 0, code: 0, info: 1400, errno: EMSGSIZE)
        #expect(SocketError(raw, local: Self.local) == nil)
    }

    @Test func aReportWithoutDestinationIsNone() {
        var raw = Self.raw(origin: Int(SO_EE_ORIGIN_ICMP), type: 3, code: 3)
        raw.destination = .none
        #expect(SocketError(raw, local: Self.local) == nil)
    }

    /// Nothing leaves this host: the kernel refuses what is larger than the link's MTU.
    @Test(.enabled(if: NetworkInterfaces.sourceAddress(toward: remote.ip) != nil))
    func whatExceedsThePathsMTUIsReportedWithIt() async throws {
        let loop = try IOLoop(name: "mtu")
        let sender = SocketHost(loop: loop)
        let source = try #require(NetworkInterfaces.sourceAddress(toward: Self.remote.ip))
        let local = try await sender.open(UDPSocketConfiguration(address: source))
        await sender.send([payload(1, count: 65_000)], to: Self.remote)
        #expect(await eventually { await sender.errorCount == 1 })
        let error = try #require(await sender.errors.first)
        #expect(error.path == NetworkPath(local: local, remote: Self.remote))
        guard case .messageTooBig(let mtu?) = error.reason else {
            Issue.record("\(error)")
            return
        }
        #expect((576..<65_000).contains(mtu))

        // In bursts it is refused by datagram and not blamed on the device.
        await sender.send([payload(1, count: 30_000), payload(2, count: 30_000)], to: Self.remote)
        #expect(await eventually { await sender.counters.sendRefused == 3 })
        #expect(await sender.usesSegmentation)
        #expect(await sender.errors.allSatisfy { $0.reason == error.reason && $0.path == error.path })
        await loop.shutdown()
    }
}
