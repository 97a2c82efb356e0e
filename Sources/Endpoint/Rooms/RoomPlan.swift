import Foundation
import ICE
import Peer
import Primitives
import SDP
import Signaling

/// Where a room is and how it is entered.
public struct RoomOptions: Sendable {
    var url: RoomURL
    public var token: String?
    var trust = WebSocketClient.Trust()
    /// Trust any certificate.
    public var isInsecure: Bool {
        get { trust.isInsecure }
        set { trust.isInsecure = newValue }
    }
    /// How long to wait for the other side; `nil`: as long as the call may take to be set up.
    public var waitForPeer: TimeDelta?

    /// - Throws: what is wrong with the text, and what to write.
    public init(url text: String) throws(SignalingError) {
        do {
            url = try RoomURL(parsing: text)
        } catch {
            throw SignalingError("\(text.prefix(200)): \(error)")
        }
        token = url.token
    }

    /// Trusts the certificates of this file in place of the system's.
    public mutating func trustAuthorities(file path: String) throws(SignalingError) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8), text.contains("BEGIN CERTIFICATE") else {
            throw SignalingError("--ca \(path): there is no PEM certificate to be read in it")
        }
        trust.authorities = text
    }
}

extension CallSession {
    /// One peer in a room of a signalling server.
    public func runRoom(_ room: RoomOptions) async throws -> CallOutcome {
        let loop = try makeLoop()
        return try await runSignaled(
            RoomPlan(options: room, clock: { loop.now }, defaultWait: options.setupTimeout), kind: "room",
            shared: SharedResources(loop: loop, ownsLoop: true))
    }
}

/// Two who meet in a room: who comes second offers.
private struct RoomPlan: SignalingPlan {
    let options: RoomOptions
    let clock: @Sendable () -> Instant
    let defaultWait: TimeDelta

    var name: String { "caller" }
    var role: ICERole { .controlled }
    var waitForPeer: TimeDelta? { options.waitForPeer }

    var nobodyCame: CallSetupError? {
        let seconds = (options.waitForPeer ?? defaultWait).seconds
        return CallSetupError(
            "nobody came into room \(options.url.room) within \(oneDecimal(seconds)) s; --wait-for-peer waits longer",
            status: .signaling)
    }

    func directions(sending kinds: [MediaKind], recording: Bool) -> [(MediaKind, MediaDirection)] {
        bothKinds(sending: kinds)
    }

    func begin(session: CallSession, reporter: any CallReporter) async throws -> any SignalingTransport {
        let transport = try await RoomTransport.open(options, reporter: reporter, clock: clock)
        reporter.log(.info, "in room \(options.url.room)")
        return transport
    }
}

/// In a room both kinds are wanted, whoever comes first: what is sent, and all that comes.
func bothKinds(sending kinds: [MediaKind]) -> [(MediaKind, MediaDirection)] {
    ([.audio, .video] as [MediaKind]).map { ($0, MediaDirection(sends: kinds.contains($0), receives: true)) }
}

/// A room of our own server, which we answer.
struct ResidentPlan: SignalingPlan {
    let resident: Resident

    var name: String { "answerer" }
    var role: ICERole { .controlled }
    var waitForPeer: TimeDelta? { nil }
    var nobodyCame: CallSetupError? { CallSetupError("the guest left without calling", status: .signaling) }

    func directions(sending kinds: [MediaKind], recording: Bool) -> [(MediaKind, MediaDirection)] {
        bothKinds(sending: kinds)
    }

    func begin(session: CallSession, reporter: any CallReporter) async throws -> any SignalingTransport {
        ResidentTransport(resident, reporter: reporter)
    }
}
