import NIOEmbedded
import Testing

@testable import Signaling

@Test func aMessageHoldsTheLargestDescriptionOfABrowser() {
    #expect(SignalingLimits().messageBytes >= 64 * 1024)
}
