import Primitives
import Testing

@testable import PeerIO

private func address(
    _ text: String, _ prefix: Int, temporary: Bool = false, deprecated: Bool = false, tentative: Bool = false
) -> NetworkInterface.Address {
    NetworkInterface.Address(
        ip: IPAddress(text) ?? .anyV4, prefixLength: prefix, isTemporary: temporary, isDeprecated: deprecated,
        isTentative: tentative)
}

private func select(
    _ interfaces: [NetworkInterface], routes: [String] = [], _ selection: AddressSelection = AddressSelection()
) -> [String] {
    selection.select(from: interfaces, defaultRoutes: routes.compactMap { IPAddress($0) }).map { "\($0.ip)" }
}

@Suite struct AddressSelectionTests {
    let loopback = NetworkInterface(
        name: "lo", index: 1, isLoopback: true, addresses: [address("127.0.0.1", 8), address("::1", 128)])
    let ethernet = NetworkInterface(
        name: "eth0", index: 2,
        addresses: [
            address("192.168.1.5", 24), address("169.254.3.3", 16), address("2001:db8:1::5", 64),
            address("fe80::5", 64), address("fec0::5", 64), address("::ffff:10.0.0.1", 96), address("fd00::5", 64),
            address("2001:db8:1::77", 64, tentative: true),
        ])
    let tunnel = NetworkInterface(
        name: "tun0", index: 3, isPointToPoint: true, addresses: [address("10.8.0.2", 32)])

    @Test func addressesThatMustNotBecomeCandidatesAreLeftOut() {
        #expect(select([loopback, ethernet]) == ["2001:db8:1::5", "fd00::5", "192.168.1.5"])
    }

    @Test func loopbackAndLinkLocalComeLastWhenAskedFor() {
        let chosen = select([loopback, ethernet], AddressSelection(allowsLoopback: true, allowsLinkLocal: true))
        #expect(
            chosen == [
                "2001:db8:1::5", "fd00::5", "192.168.1.5", "fe80::5", "169.254.3.3", "::1", "127.0.0.1",
            ])
    }

    @Test func theDefaultRouteComesFirst() {
        #expect(select([tunnel, ethernet], AddressSelection(families: [.ipv4])) == ["192.168.1.5", "10.8.0.2"])
        #expect(
            select([ethernet, tunnel], routes: ["10.8.0.2"], AddressSelection(families: [.ipv4]))
                == ["10.8.0.2", "192.168.1.5"])
    }

    @Test func aTemporaryAddressHidesItsNeighboursAndLinkLocals() {
        let private6 = NetworkInterface(
            name: "wlan0", index: 4,
            addresses: [
                address("2001:db8:2::1", 64), address("2001:db8:2::abcd", 64, temporary: true),
                address("2001:db8:3::1", 64), address("fe80::1", 64),
            ])
        #expect(
            select([private6], AddressSelection(allowsLinkLocal: true)) == ["2001:db8:2::abcd", "2001:db8:3::1"])
    }

    @Test func aDeprecatedAddressIsTheLastResort() {
        var old = NetworkInterface(
            name: "eth1", index: 5,
            addresses: [address("2001:db8:4::1", 64, deprecated: true), address("2001:db8:5::1", 64)])
        #expect(select([old]) == ["2001:db8:5::1"])
        old.addresses.removeLast()
        #expect(select([old]) == ["2001:db8:4::1"])
    }

    @Test func interfacesAndFamiliesAreFiltered() {
        #expect(select([ethernet, tunnel], AddressSelection(onlyInterfaces: ["tun*"])) == ["10.8.0.2"])
        #expect(
            select([ethernet, tunnel], AddressSelection(families: [.ipv4], excludedInterfaces: ["tun0"]))
                == ["192.168.1.5"])
        var down = tunnel
        down.isUp = false
        #expect(select([down]).isEmpty)
    }

    @Test func namedAddressesGoAsNamed() {
        let only = ["::1", "192.168.1.5", "192.0.2.99"].compactMap { IPAddress($0) }
        #expect(select([loopback, ethernet], AddressSelection(onlyAddresses: only)) == ["::1", "192.168.1.5"])
    }

    @Test func familiesAreInterleavedAndCapped() {
        let many = NetworkInterface(
            name: "eth0", index: 2,
            addresses: (1...6).map { address("2001:db8::\($0)", 64) } + (1...2).map { address("198.51.100.\($0)", 24) })
        #expect(
            select([many]) == [
                "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "198.51.100.1", "2001:db8::5",
                "2001:db8::6", "198.51.100.2",
            ])
        #expect(select([many], AddressSelection(limit: 5)).count == 5)
        #expect(select([many], AddressSelection(limit: 0)).isEmpty)
    }

    @Test func theKernelsTableOfAddressStatesIsRead() {
        let states = AddressStates(
            """
            20010db8000000000000000000000001 02 40 00 01     eth0
            20010db8000000000000000000000002 02 40 00 60     eth0
            nonsense
            2001 02 40 00 60 eth0
            00000000000000000000000000000001 01 80 10 80       lo

            """)
        #expect(states.state(of: IPAddress("2001:db8::1") ?? .anyV6) == AddressStates.temporary)
        #expect(
            states.state(of: IPAddress("2001:db8::2") ?? .anyV6)
                == AddressStates.deprecated | AddressStates.tentative)
        #expect(states.state(of: .loopbackV6) == 0x80)
        #expect(states.state(of: .loopbackV4) == 0)
    }

    @Test func thisHostHasALoopbackInterface() throws {
        let interfaces = try NetworkInterfaces.list()
        let loopback = try #require(interfaces.first { $0.isLoopback })
        #expect(loopback.index > 0 && loopback.isUp)
        #expect(loopback.addresses.contains { $0.ip == .loopbackV4 && $0.prefixLength == 8 })
        #expect(NetworkInterfaces.sourceAddress(toward: .loopbackV4) == .loopbackV4)
        let chosen = try AddressSelection(allowsLoopback: true).selectFromSystem()
        #expect(chosen.contains { $0.ip == .loopbackV4 && $0.interfaceName == loopback.name })
        #expect(try !AddressSelection().selectFromSystem().contains { $0.ip.isLoopback })
    }
}
