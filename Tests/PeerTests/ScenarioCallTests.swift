import DTLSSRTP
import Foundation
import ICE
import Peer
import Primitives
import Testing

/// Calls as they should be: long, quick to compute, and the same again for the same seed.
@Suite struct ScenarioCallTests {
    @Test(arguments: Seeds.some(1)) func aCallBetweenTwoPeersCarriesEveryFrameBothWays(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=40ms", seed: seed)
        try call.addMedia()
        try call.start()
        try call.connect()
        let began = threadSeconds()
        try call.run(for: .seconds(60))
        let used = threadSeconds() - began
        print("60 s call: \(used) s of processor, \(call.datagrams) datagrams, \(call.steps) steps")
        for side in Side.allCases {
            for track in call[side].tracks { print(side, track.mid, track.sent, call[side.other].received[track.mid]!) }
        }
    }
}
