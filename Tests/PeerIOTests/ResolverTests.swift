import Glibc
import Locks
import Primitives
import Testing

@testable import PeerIO

@Suite struct ResolverTests {
    @Test func anAddressInTextGivesItself() async throws {
        let resolver = Resolver()
        #expect(try await resolver.resolve("192.0.2.7") == [IPAddress(v4: 0xC000_0207)])
        #expect(try await resolver.resolve("::1") == [.loopbackV6])
        await #expect(throws: ResolveError.notFound("::1")) { try await resolver.resolve("::1", family: .ipv4) }
    }

    @Test func localhostIsResolved() async throws {
        #expect(try await Resolver().resolve("localhost", family: .ipv4) == [.loopbackV4])
    }

    @Test(arguments: ["", ".", "a..b", "with space", "a/b", "fe80::1%eth0", "1", "010.0.0.1", "a.1", "ä.example"])
    func whatIsNoHostNameIsNotLookedUp(_ name: String) async {
        let resolver = Resolver(threadLimit: 1, waitingLimit: 1) { _ in .success([.loopbackV4]) }
        await #expect(throws: ResolveError.invalidName(name)) { try await resolver.resolve(name) }
    }

    @Test func multicastNamesAreLeftToAnotherResolver() async {
        let name = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"
        await #expect(throws: ResolveError.multicastNameUnsupported(name)) { try await Resolver().resolve(name) }
    }

    @Test func aSilentServerTimesOut() async {
        let stall = Stall()
        let resolver = Resolver(threadLimit: 1, waitingLimit: 1, lookup: stall.lookup)
        await #expect(throws: ResolveError.timedOut("slow.example", after: .milliseconds(20))) {
            try await resolver.resolve("slow.example", timeout: .milliseconds(20))
        }
        stall.release()
    }

    @Test func aCancelledTaskWaitsNoLonger() async {
        let stall = Stall()
        let resolver = Resolver(threadLimit: 1, waitingLimit: 1, lookup: stall.lookup)
        let task = Task { try await resolver.resolve("slow.example", timeout: .seconds(60)) }
        #expect(await eventually { stall.count == 1 })
        task.cancel()
        await #expect(throws: ResolveError.cancelled("slow.example")) { try await task.value }
        stall.release()
    }

    @Test func lookupsAreBounded() async throws {
        let stall = Stall()
        let resolver = Resolver(threadLimit: 2, waitingLimit: 3, lookup: stall.lookup)
        let tasks = (0..<5).map { index in
            Task { try await resolver.resolve("host\(index).example", timeout: .seconds(60)) }
        }
        #expect(await eventually { stall.count == 2 && resolver.waiting == 3 })
        await #expect(throws: ResolveError.overloaded("more.example")) { try await resolver.resolve("more.example") }
        stall.release()
        for task in tasks { #expect(try await task.value == [.loopbackV4]) }
        #expect(stall.most == 2)
        #expect(try await resolver.resolve("again.example", timeout: .seconds(60)) == [.loopbackV4])
    }

    @Test func aFamilyWithoutAddressIsNotFound() async {
        let resolver = Resolver(threadLimit: 1, waitingLimit: 1) { _ in .success([.loopbackV4]) }
        await #expect(throws: ResolveError.notFound("four.example")) {
            try await resolver.resolve("four.example", family: .ipv6)
        }
    }
}

/// A lookup that blocks its thread until released.
private final class Stall: Sendable {
    private struct State {
        var isReleased = false
        var running = 0
        var count = 0
        var most = 0
    }
    private let state = Locked(State())

    var count: Int { state.withLock(\.count) }
    var most: Int { state.withLock(\.most) }
    func release() { state.withLock { $0.isReleased = true } }

    var lookup: Resolver.Lookup {
        return { _ in
            self.state.withLock {
                $0.count += 1
                $0.running += 1
                $0.most = max($0.most, $0.running)
            }
            while !self.state.withLock(\.isReleased) { _ = usleep(500) }
            self.state.withLock { $0.running -= 1 }
            return .success([.loopbackV4])
        }
    }
}
