import Endpoint
import Primitives
import Testing

/// The texts of the options that choose addresses.
@Suite struct NetworkFilterTests {
    @Test func filtersAreRead() throws {
        var options = NetworkOptions()
        try options.setFilters(family: nil, subnets: [], policy: "all")
        #expect(options.families.isEmpty && options.networks.isEmpty)
        #expect(!options.isDefaultRouteOnly && !options.hidesPrivateAddresses)
        try options.setFilters(
            family: "IPv6", subnets: ["192.0.2.0/24", "2001:db8::7"], policy: "default-route")
        #expect(options.families == [.ipv6])
        #expect(options.networks.map(\.prefix) == [24, 128])
        #expect(options.isDefaultRouteOnly && !options.hidesPrivateAddresses)
        try options.setFilters(family: nil, subnets: [], policy: "default-route-public")
        #expect(options.isDefaultRouteOnly && options.hidesPrivateAddresses)
    }

    @Test(
        arguments: [
            ("ipv5", [], "all", "--address-family ipv5: write ipv4 or ipv6"),
            (nil, ["192.0.2.0/33"], "all", "--subnet 192.0.2.0/33: write ADDRESS/BITS"),
            (nil, ["192.0.2.0/"], "all", "--subnet 192.0.2.0/: write ADDRESS/BITS"),
            (nil, ["eth0"], "all", "--subnet eth0: write ADDRESS/BITS"),
            (nil, [], "some", "--ice-policy some: write all, relay, host-only, default-route or default-route-public"),
        ] as [(String?, [String], String, String)])
    func whatIsWrongIsSaid(family: String?, subnets: [String], policy: String, message: String) {
        var options = NetworkOptions()
        do throws(NetworkOptionError) {
            try options.setFilters(family: family, subnets: subnets, policy: policy)
            Issue.record("\(message): it was taken")
        } catch {
            #expect("\(error)".hasPrefix(message), "\(error)")
        }
    }
}
