import ICE
import Primitives
import Testing

@Suite struct PriorityTests {
    @Test func candidatePriorities() {
        #expect(CandidatePriority.candidate(type: .host, localPreference: 65_535) == 2_130_706_431)
        #expect(CandidatePriority.candidate(type: .peerReflexive, localPreference: 65_535) == 1_862_270_975)
        #expect(CandidatePriority.candidate(type: .serverReflexive, localPreference: 65_535) == 1_694_498_815)
        #expect(CandidatePriority.candidate(type: .relayed, localPreference: 65_535) == 16_777_215)
        #expect(CandidatePriority.candidate(type: .host, localPreference: 1, component: 2) == 126 << 24 | 1 << 8 | 254)
        #expect(CandidatePriority.candidate(type: .host, localPreference: 0, component: .max) == 126 << 24)
    }

    @Test func aCheckClaimsThePriorityOfAPeerReflexiveCandidate() {
        let host = CandidatePriority.candidate(type: .host, localPreference: 4_321)
        #expect(
            CandidatePriority.peerReflexive(of: host)
                == CandidatePriority.candidate(type: .peerReflexive, localPreference: 4_321))
    }

    @Test func pairPriorities() {
        #expect(CandidatePriority.pair(controlling: 3, controlled: 2) == 2 << 32 + 6 + 1)
        #expect(CandidatePriority.pair(controlling: 2, controlled: 3) == 2 << 32 + 6)
        #expect(CandidatePriority.pair(controlling: 5, controlled: 5) == 5 << 32 + 10)
        // Nothing the network says overflows.
        let highest = CandidatePriority.pair(controlling: .max, controlled: .max)
        #expect(highest == 0x7FFF_FFFF << 32 + 2 * 0x7FFF_FFFF)
        #expect(highest > CandidatePriority.pair(controlling: .max, controlled: 1))
    }

    @Test func bothSidesRankPairsAlike() {
        var random = RandomSource.seeded(3)
        for _ in 0..<1_000 {
            let (g, d) = (
                UInt32.random(in: 1...0x7FFF_FFFF, using: &random), UInt32.random(in: 1...0x7FFF_FFFF, using: &random)
            )
            let pair = CandidatePriority.pair(controlling: g, controlled: d)
            #expect(pair >> 32 <= UInt64(min(g, d)) + 1)
            #expect(pair & 1 == (g > d ? 1 : 0))
        }
    }

    @Test func credentialsAreLongEnoughAndDiffer() {
        var random = RandomSource.seeded(1)
        let a = ICECredentials(using: &random)
        let b = ICECredentials(using: &random)
        #expect(a.ufrag.utf8.count == 8 && a.password.utf8.count == 24)
        #expect(a.isWellFormed && b.isWellFormed)
        #expect(a.ufrag != b.ufrag && a.password != b.password)
        #expect(!ICECredentials(ufrag: "abc", password: a.password).isWellFormed)
        #expect(!ICECredentials(ufrag: "abcd", password: "short").isWellFormed)
        #expect(!ICECredentials(ufrag: "ab d", password: a.password).isWellFormed)
        #expect(!a.description.contains(a.password))
    }
}
