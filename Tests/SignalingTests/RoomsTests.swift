import Primitives
import Testing

@testable import Signaling

/// The machine of rooms in virtual time.
@Suite struct RoomsTests {
    @Test func whoComesSecondOffersAndIsPolite() throws {
        var table = RoomTable()
        let first = table.join("demo", name: "A")
        let second = table.join("demo", name: "B")
        let one = try table.joined(first)
        let two = try table.joined(second)
        #expect(one.peers.isEmpty && !one.offers && !one.polite)
        #expect(two.peers == [.init(id: one.id, name: "A")] && two.offers && two.polite)
        #expect(
            table.said(to: first).last
                == .peerJoined(.init(peer: .init(id: two.id, name: "B"), polite: false, offers: false)))
    }

    @Test func whatIsSaidPassesAsItWasWritten() {
        var table = RoomTable()
        let (a, b) = table.pair()
        let offer = #"{ "sdp":"v=0\r\n", "type":"offer", "more":[1] }"#
        table.say(offer, from: a)
        #expect(table.texts(to: b).last == offer)
        #expect(!table.texts(to: a).contains(offer))
    }

    @Test func aThirdIsRefused() {
        var table = RoomTable()
        _ = table.pair("demo")
        let third = table.join("demo")
        #expect(table.error(third) == .roomFull && table.isClosed(third))
        // Another room is another matter.
        let other = table.join("other")
        #expect(table.error(other) == nil)
    }

    @Test func roomsAreBounded() {
        var limits = SignalingLimits()
        limits.rooms = 3
        var table = RoomTable(limits)
        let some = (0..<3).map { table.join("r\($0)") }
        let fourth = table.join("r3")
        #expect(table.error(fourth) == .tooManyRooms)
        table.say(#"{"type":"leave"}"#, from: some[0])
        let next = table.join("r3")
        #expect(table.error(next) == nil)
        #expect(table.rooms.roomCount == 3)
    }

    @Test func whoLeavesIsMissed() throws {
        var table = RoomTable()
        let (a, b) = table.pair()
        let id = try table.joined(a).id
        table.say(#"{"type":"leave"}"#, from: a)
        #expect(table.said(to: b).last == .peerLeft(id: id, reason: "left"))
        #expect(table.closes[a] == .normal)
        // The room is open to another, who is the second now.
        let c = table.join("demo")
        #expect(try table.joined(c).offers)
        table.say(#"{"type":"leave"}"#, from: b)
        table.say(#"{"type":"leave"}"#, from: c)
        #expect(table.rooms.roomCount == 0)
    }

    @Test func aPlaceIsHeldForTenSecondsAndMessagesWait() throws {
        var table = RoomTable()
        let (a, b) = table.pair()
        let session = try table.joined(a).session
        table.drop(a)
        table.say(#"{"type":"candidate","candidate":"x"}"#, from: b)
        table.say(#"{"type":"end-of-candidates"}"#, from: b)
        table.advance(.seconds(9))
        let back = table.connect("demo")
        table.say(#"{"type":"join","session":"\#(session)"}"#, from: back)
        #expect(try table.joined(back).resumed)
        #expect(
            table.texts(to: back).dropFirst() == [
                #"{"type":"candidate","candidate":"x"}"#, #"{"type":"end-of-candidates"}"#,
            ])
        guard case .peerJoined(let joined) = table.said(to: b).last else { return #expect(Bool(false)) }
        #expect(joined.resumed && !joined.offers)
        table.say(#"{"type":"bye"}"#, from: back)
        #expect(table.texts(to: b).last == #"{"type":"bye"}"#)
    }

    @Test func afterTenSecondsThePlaceIsGone() throws {
        var table = RoomTable()
        let (a, b) = table.pair()
        let (id, session) = (try table.joined(a).id, try table.joined(a).session)
        table.drop(a)
        table.advance(.seconds(10))
        #expect(table.said(to: b).last == .peerLeft(id: id, reason: "timeout"))
        let late = table.connect("demo")
        table.say(#"{"type":"join","session":"\#(session)"}"#, from: late)
        #expect(table.error(late) == .unknownSession)
    }

    @Test func anotherSessionTakesNoPlace() throws {
        var table = RoomTable()
        let (a, _) = table.pair()
        let session = try table.joined(a).session
        table.drop(a)
        for wrong in ["", "0", session + "0", String(session.dropLast()), String(session.reversed())] {
            let thief = table.connect("demo")
            table.say(#"{"type":"join","session":"\#(wrong)"}"#, from: thief)
            #expect(table.error(thief) == .unknownSession, "\(wrong)")
        }
        // Nor does the right one in another room.
        let elsewhere = table.connect("other")
        table.say(#"{"type":"join","session":"\#(session)"}"#, from: elsewhere)
        #expect(table.error(elsewhere) == .unknownSession)
    }

    @Test func theOldConnectionIsReplaced() throws {
        var table = RoomTable()
        let (a, b) = table.pair()
        let again = table.connect("demo")
        table.say(#"{"type":"join","session":"\#(try table.joined(a).session)"}"#, from: again)
        #expect(table.error(a) == .replaced && table.isClosed(a))
        // Its end, when the network tells of it, takes nothing from the new one.
        table.drop(a)
        table.advance(.seconds(20))
        table.say(#"{"type":"bye"}"#, from: b)
        #expect(table.texts(to: again).last == #"{"type":"bye"}"#)
    }

    @Test func whatWaitsIsBounded() throws {
        var limits = SignalingLimits()
        limits.waitingMessages = 5
        var table = RoomTable(limits)
        let (a, b) = table.pair()
        let id = try table.joined(a).id
        table.drop(a)
        for _ in 0..<5 { table.say(#"{"type":"end-of-candidates"}"#, from: b) }
        #expect(table.said(to: b).last != .peerLeft(id: id, reason: "timeout"))
        table.say(#"{"type":"end-of-candidates"}"#, from: b)
        #expect(table.said(to: b).last == .peerLeft(id: id, reason: "timeout"))
    }

    @Test func whoIsAwayLearnsThatTheOtherLeft() throws {
        var table = RoomTable()
        let (a, b) = table.pair()
        let (session, other) = (try table.joined(a).session, try table.joined(b).id)
        table.drop(a)
        table.say(#"{"type":"leave"}"#, from: b)
        let back = table.connect("demo")
        table.say(#"{"type":"join","session":"\#(session)"}"#, from: back)
        #expect(table.said(to: back).last == .peerLeft(id: other, reason: "left"))
    }

    @Test func joiningComesFirstAndSoon() {
        var table = RoomTable()
        let hasty = table.connect("demo")
        table.say(#"{"type":"offer","sdp":"v=0"}"#, from: hasty)
        #expect(table.error(hasty) == .notJoined)
        let silent = table.connect("demo")
        table.advance(.milliseconds(4_900))
        #expect(!table.isClosed(silent))
        table.advance(.milliseconds(100))
        #expect(table.error(silent) == .notJoined && table.isClosed(silent))
        #expect(table.rooms.deadline == nil)
    }

    @Test func theTenthMalformedMessageIsFatal() {
        var table = RoomTable()
        let (a, b) = table.pair()
        for count in 1...9 {
            table.say("nonsense \(count)", from: a)
            #expect(table.error(a) == .malformed && !table.isClosed(a), "\(count)")
        }
        table.say("{", from: a)
        #expect(table.isClosed(a))
        guard case .peerLeft(_, "error") = table.said(to: b).last else { return #expect(Bool(false)) }
    }

    @Test func floodsAreRefused() {
        var table = RoomTable()
        let (a, b) = table.pair()
        for _ in 0..<199 { table.say(#"{"type":"end-of-candidates"}"#, from: a) }
        #expect(!table.isClosed(a))
        table.advance(.seconds(1))
        for _ in 0..<51 { table.say(#"{"type":"end-of-candidates"}"#, from: a) }
        #expect(table.error(a) == .tooFast && table.isClosed(a) && !table.isClosed(b))
    }

    /// Few messages may be as much to read as many.
    @Test func floodsOfBytesAreRefused() {
        var limits = SignalingLimits()
        (limits.burstBytes, limits.bytesPerSecond) = (10_000, 1_000)
        var table = RoomTable(limits)
        let (a, b) = table.pair()
        let offer = #"{"type":"offer","sdp":"\#(String(repeating: "x", count: 5_950))"}"#
        table.say(offer, from: a)
        table.advance(.seconds(2))
        table.say(offer, from: a)
        #expect(!table.isClosed(a) && table.texts(to: b).count { $0 == offer } == 2)
        table.say(offer, from: a)
        #expect(table.error(a) == .tooFast && table.isClosed(a) && !table.isClosed(b))
    }

    @Test func aMessageBeyondTheBoundIsRefused() {
        var table = RoomTable()
        let (a, b) = table.pair()
        let room = SignalingLimits().messageBytes - #"{"type":"offer","sdp":""}"#.utf8.count
        table.say(#"{"type":"offer","sdp":"\#(String(repeating: "x", count: room))"}"#, from: a)
        #expect(table.texts(to: b).last?.utf8.count == SignalingLimits().messageBytes)
        table.say(#"{"type":"offer","sdp":"\#(String(repeating: "x", count: room + 1))"}"#, from: a)
        #expect(table.error(a) == .tooLarge && table.closes[a] == .messageTooBig)
    }

    @Test func whoDoesNotReadMayComeBack() throws {
        var table = RoomTable()
        let (a, _) = table.pair()
        let session = try table.joined(a).session
        table.perform { $0.refuse(a, .tooSlow, at: $1, into: &$2) }
        #expect(table.error(a) == .tooSlow && table.isClosed(a))
        let back = table.connect("demo")
        table.say(#"{"type":"join","session":"\#(session)"}"#, from: back)
        #expect(try table.joined(back).resumed)
    }

    @Test func callsGetByeWhenTheServerStops() {
        var table = RoomTable()
        let (a, b) = table.pair()
        let alone = table.connect("x")
        table.perform { rooms, _, out in rooms.shutDown(into: &out) }
        for id in [a, b] {
            #expect(table.texts(to: id).contains(#"{"type":"bye","reason":"shutting-down"}"#))
            #expect(table.error(id) == .shuttingDown && table.closes[id] == .goingAway)
        }
        #expect(table.isClosed(alone) && table.rooms.roomCount == 0)
    }
}
