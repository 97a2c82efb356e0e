import ICE
import Peer
import Primitives
import Testing

@testable import Endpoint

/// What the options about TCP come to, and what reports say of a path.
@Suite struct ICETCPOptionsTests {
    @Test(
        arguments: [
            (nil, nil, "all", ICETCPMode.active), (nil, "30008", "all", .both), (nil, nil, "tcp", .both),
            (nil, nil, "udp", .off), ("passive", nil, "all", .passive), ("passive", "30008", "tcp", .passive),
            ("off", nil, "all", .off), ("active", nil, "tcp", .active),
        ] as [(String?, String?, String, ICETCPMode)])
    func whatIsSaidAndWhatFollows(mode: String?, port: String?, transport: String, result: ICETCPMode) throws {
        var options = NetworkOptions()
        try options.setStreams(mode: mode, port: port, transport: transport)
        #expect(options.iceTCP == result)
        #expect(options.tcpPort == port.flatMap { UInt16($0) })
    }

    @Test func aLiteAgentListensAndConnectsNowhere() throws {
        var options = NetworkOptions()
        options.isICELite = true
        try options.setStreams(mode: nil, port: nil, transport: "all")
        #expect(options.iceTCP == .off)
        try options.setStreams(mode: nil, port: "30008", transport: "all")
        #expect(options.iceTCP == .passive)
    }

    // MARK: Notes

    private func path(_ port: UInt16, _ ip: UInt32 = 0xC000_0283) -> NetworkPath {
        NetworkPath(
            local: TransportAddress(IPAddress(v4: 0xC000_0285), 30_008),
            remote: TransportAddress(IPAddress(v4: ip), port))
    }

    private func journal(moves: [(NetworkPath, NetworkPath)]) -> CallJournal {
        var journal = CallJournal()
        journal.note(.connected)
        for (from, to) in moves {
            journal.note(TraceEvent(time: .zero, detail: .ice(.moved(from: from, to: to))))
        }
        return journal
    }

    private func notes(_ journal: CallJournal) -> [String] {
        CallReport(role: "offerer", journal: journal, statistics: StatisticsReport()).notes
    }

    @Test func aMappingThatMovedIsNamed() {
        #expect(notes(journal(moves: [])).isEmpty)
        #expect(
            notes(journal(moves: [(path(43_804), path(51_266))])) == [
                "the peer moved 192.0.2.131:43804 -> 192.0.2.131:51266 (proxy mapping changed)"
            ])
        // Another of its candidates is no mapping that changed.
        #expect(notes(journal(moves: [(path(43_804), path(43_804, 0xC000_0201))])).isEmpty)
    }

    @Test func mappingsThatAreEvictedAllTheTimeAreNamed() throws {
        let moves = (0..<50).map { (path(UInt16(40_000 + $0)), path(UInt16(40_001 + $0))) }
        let journal = journal(moves: moves)
        #expect(journal.movements.count == 10)
        let note = try #require(notes(journal).first)
        #expect(note.contains("moved 50 times") && note.contains("192.0.2.131:40049 -> 192.0.2.131:40050"), "\(note)")
        #expect(note.contains("evicted"))
    }
}
