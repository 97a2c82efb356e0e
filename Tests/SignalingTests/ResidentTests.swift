import Primitives
import Testing

@testable import Signaling

/// Rooms that the server answers itself.
@Suite struct ResidentTests {
    @Test func theResidentIsThereFirst() throws {
        var table = RoomTable(hasResidents: true)
        let guest = table.join("demo")
        let resident = try #require(table.residents["demo"]?.last)
        #expect(try table.joined(guest).offers && table.joined(guest).polite)
        #expect(try !table.joined(resident).offers)
        table.say(#"{"type":"offer","sdp":"v=0"}"#, from: guest)
        #expect(table.texts(to: resident).last == #"{"type":"offer","sdp":"v=0"}"#)
        let third = table.join("demo")
        #expect(table.error(third) == .roomFull)
    }

    @Test func theResidentGoesWithItsGuest() throws {
        var table = RoomTable(hasResidents: true)
        let guest = table.join("demo")
        let resident = try #require(table.residents["demo"]?.last)
        table.say(#"{"type":"leave"}"#, from: guest)
        #expect(table.said(to: resident).contains(.peerLeft(id: "2", reason: "left")))
        #expect(table.isClosed(resident) && table.rooms.roomCount == 0)
        // Who comes next has a call of its own.
        _ = table.join("demo")
        #expect(table.residents["demo"]?.count == 2)
    }

    @Test func aGuestWhoIsAwayKeepsTheResident() throws {
        var table = RoomTable(hasResidents: true)
        let guest = table.join("demo")
        let resident = try #require(table.residents["demo"]?.last)
        table.drop(guest)
        table.advance(.seconds(9))
        #expect(!table.isClosed(resident))
        table.advance(.seconds(1))
        #expect(table.isClosed(resident))
    }

    @Test func aNewOfferBringsANewResident() throws {
        var table = RoomTable(hasResidents: true)
        let guest = table.join("demo")
        let first = try #require(table.residents["demo"]?.last)
        table.say(#"{"type":"leave"}"#, from: first)
        guard case .peerLeft = table.said(to: guest).last else { return #expect(Bool(false)) }
        table.say(#"{"type":"bye"}"#, from: guest)
        #expect(table.residents["demo"]?.count == 1)
        table.say(#"{"type":"offer","sdp":"v=0"}"#, from: guest)
        let second = try #require(table.residents["demo"]?.last)
        #expect(second != first && table.texts(to: second).last == #"{"type":"offer","sdp":"v=0"}"#)
        guard case .peerJoined(let joined) = table.said(to: guest).last else { return #expect(Bool(false)) }
        #expect(joined.polite && !joined.offers)
    }

    @Test func nobodyTakesUpTheResidentsPlace() throws {
        var table = RoomTable(hasResidents: true)
        _ = table.join("demo")
        let resident = try #require(table.residents["demo"]?.last)
        let thief = table.connect("demo")
        table.say(#"{"type":"join","session":"\#(try table.joined(resident).session)"}"#, from: thief)
        #expect(table.error(thief) == .unknownSession)
    }
}
