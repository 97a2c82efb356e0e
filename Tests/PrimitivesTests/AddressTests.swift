import Primitives
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("::", "::"), ("::1", "::1"),
        ("1::", "1::"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::192.0.2.33", "2001:db8::c000:221"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
    ])
    func textRoundTrips(_ text: String, _ canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
        #expect(IPAddress(bytes: address.bytes) == address)
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.-4", ":::", "1::2::3", "1:2:3:4:5:6:7", "g::1",
        "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "1.2.3.4:", ":1", "12345::", "1:2:3:4:5:6:7:8::", "+1.2.3.4",
    ])
    func malformedTextIsRefused(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func classes() throws {
        #expect(try #require(IPAddress("fe80::1")).isLinkLocal)
        #expect(try #require(IPAddress("169.254.1.1")).isLinkLocal)
        #expect(try #require(IPAddress("172.31.0.1")).isPrivate)
        #expect(try !#require(IPAddress("172.32.0.1")).isPrivate)
        #expect(try #require(IPAddress("fd00::1")).isPrivate)
        #expect(try #require(IPAddress("::ffff:1.2.3.4")).isV4MappedOrCompatible)
        #expect(IPAddress.loopbackV6.isLoopback)
    }

    @Test func networks() throws {
        let network = try #require(IPAddress("192.0.2.0"))
        #expect(try #require(IPAddress("192.0.2.255")).isInside(network, prefix: 24))
        #expect(try !#require(IPAddress("192.0.3.0")).isInside(network, prefix: 24))
        let wide = try #require(IPAddress("2001:db8::"))
        #expect(try #require(IPAddress("2001:db8:ffff::1")).isInside(wide, prefix: 32))
        #expect(try !#require(IPAddress("2001:db9::")).isInside(wide, prefix: 32))
        #expect(try #require(IPAddress("::1")).isInside(wide, prefix: 0))
        #expect(try !#require(IPAddress("::1")).isInside(network, prefix: 0))
    }

    @Test func transportAddressText() {
        #expect(TransportAddress("192.0.2.1:80")?.description == "192.0.2.1:80")
        #expect(TransportAddress("[::1]:65535")?.description == "[::1]:65535")
        for text in ["::1:80", "[1.2.3.4]:80", "1.2.3.4", "1.2.3.4:65536", "[::1:80", ":80"] {
            #expect(TransportAddress(text) == nil)
        }
    }

    @Test func readerNeverReadsPastItsEnd() {
        var reader = ByteReader([1, 2, 3])
        #expect((try? reader.readUInt16()) == 0x0102)
        #expect(throws: Truncated(offset: 2)) { try reader.readUInt16() }
        #expect((try? reader.readUInt8()) == 3)
        #expect(throws: Truncated.self) { try reader.readBytes(-1) }
        #expect(ByteReader([1, 2], in: -5..<9).remaining == 2)
    }
}
