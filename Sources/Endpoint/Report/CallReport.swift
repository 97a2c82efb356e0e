import ICE
import Media
import Peer
import Primitives

/// What one peer has to say at the end of a call, before it becomes JSON. Schema: Docs/report.md.
public struct CallReport: Sendable {
    public var role: String
    public var journal: CallJournal
    public var statistics: StatisticsReport
    public var sent: [MediaKind: Publisher.SentTotals] = [:]
    public var recording: RecordingSummary?
    public var recordingFailure: RecordingError?
    public var mediaFailure: MediaError?
    /// Why the trace of `--events` goes on no further.
    public var eventsFailure: String?
    public var duration: TimeDelta = .zero
    public var diagnosis: Diagnosis?

    public init(role: String, journal: CallJournal, statistics: StatisticsReport) {
        self.role = role
        self.journal = journal
        self.statistics = statistics
    }

    public var outcome: String {
        if journal.wasConnected {
            switch journal.connectionState {
            case .failed, .disconnected: return "lost"
            default: return recordingFailure != nil || mediaFailure != nil ? "incomplete" : "completed"
            }
        }
        return "failed"
    }

    public var json: JSONValue {
        .object([
            .init("role", .string(role)),
            .init("outcome", .string(outcome)),
            .init("setup", JSONValue(rounded: journal.setupMilliseconds)),
            .init("duration", JSONValue(rounded: duration.seconds * 1000)),
            .init("timings", timings),
            .init("selectedPair", selectedPair),
            .init("audio", mediaSummary(.audio, of: statistics.objects, over: duration)),
            .init("video", mediaSummary(.video, of: statistics.objects, over: duration)),
            .init("dtmf", dtmf),
            .init("recording", recordingJSON),
            .init("diagnosis", diagnosis?.json ?? .null),
            .init("notes", .array(notes.map(JSONValue.string))),
            .init("stats", .array(statistics.objects.map(\.json))),
        ])
    }

    /// Milliseconds since both descriptions were known.
    var timings: JSONValue {
        let gathering: JSONValue
        if let start = journal.milestones[.gatheringStarted], let end = journal.milestones[.gatheringComplete] {
            gathering = JSONValue(rounded: (end - start).seconds * 1000)
        } else {
            gathering = .null
        }
        let phases: [(String, Milestone)] = [
            ("firstCheck", .firstCheckSent), ("firstCheckReceived", .firstCheckReceived),
            ("iceConnected", .iceConnected), ("pairSelected", .pairSelected), ("dtlsStarted", .dtlsStarted),
            ("dtlsConnected", .dtlsConnected), ("firstRTPOut", .firstRTPSent), ("firstRTPIn", .firstRTPReceived),
            ("firstAudioFrameOut", .firstAudioFrameSent), ("firstAudioFrameIn", .firstAudioFrameReceived),
            ("firstVideoFrameOut", .firstVideoFrameSent), ("firstVideoFrameIn", .firstVideoFrameReceived),
        ]
        return .object(
            [.init("gathering", gathering)]
                + phases.map { .init($0.0, JSONValue(rounded: journal.milliseconds(to: $0.1))) })
    }

    /// A phase only one of two peers goes through is the call's phase.
    static func merged(_ timings: [JSONValue]) -> JSONValue {
        guard case .object(var members)? = timings.last else { return .null }
        for index in members.indices where members[index].value == .null {
            members[index].value = timings.lazy.compactMap { $0[members[index].name] }.first { $0 != .null } ?? .null
        }
        return .object(members)
    }

    private var selectedPair: JSONValue {
        guard let pair = journal.selectedPair else { return .null }
        let statisticsPair = statistics.objects(of: .candidatePair).first { $0["nominated"] == .bool(true) }
        return .object([
            .init("local", pair.local.json), .init("remote", pair.remote.json),
            .init(
                "roundTripTime",
                JSONValue(rounded: statisticsPair?["currentRoundTripTime"]?.asDouble.map { $0 * 1000 })),
        ])
    }

    /// Keys the other side pressed.
    private var dtmf: JSONValue {
        .array(
            journal.telephoneEvents.map { key in
                .object([
                    .init("digit", key.digit.isEmpty ? .null : .string(key.digit)),
                    .init("event", .integer(Int64(key.event))), .init("mid", .string(key.mid)),
                    .init("duration", JSONValue(rounded: key.length.seconds * 1000)),
                ])
            })
    }

    private var recordingJSON: JSONValue {
        guard let recording else {
            return recordingFailure.map { ["error": .string("\($0)")] } ?? .null
        }
        var members = recording.json
        if let recordingFailure { members.append(.init("error", .string("\(recordingFailure)"))) }
        return .object(members)
    }
}

/// One kind of media in the words an expectation uses; the full figures are in `stats`.
func mediaSummary(
    _ kind: MediaKind, of objects: [StatisticsObject], over duration: TimeDelta
) -> JSONValue {
    let ofKind = objects.filter { $0["kind"] == .string(kind.rawValue) }
    let inbound = ofKind.filter { $0.type == .inboundRTP }
    let outbound = ofKind.filter { $0.type == .outboundRTP }
    guard !inbound.isEmpty || !outbound.isEmpty else { return .null }
    func sum(_ objects: [StatisticsObject], _ name: String) -> Double {
        objects.reduce(0) { $0 + ($1[name]?.asDouble ?? 0) }
    }
    func whole(_ value: Double) -> JSONValue { .integer(Int64(value)) }
    let lost = sum(inbound, "packetsLost")
    let received = sum(inbound, "packetsReceived")
    let seconds = max(duration.seconds, 0.001)
    var members: [JSONValue.Member] = [
        .init("framesSent", whole(sum(outbound, "framesSent"))),
        .init("framesReceived", whole(sum(inbound, "framesReceived"))),
        .init("framesDropped", whole(sum(inbound, "framesDropped"))),
        .init("packetsSent", whole(sum(outbound, "packetsSent"))),
        .init("packetsReceived", whole(received)),
        .init("packetsLost", whole(lost)),
        .init("lossFraction", JSONValue(rounded: received + lost > 0 ? max(0, lost) / (received + lost) : 0)),
        .init("retransmissionsSent", whole(sum(outbound, "retransmittedPacketsSent"))),
        .init("retransmissionsReceived", whole(sum(inbound, "retransmittedPacketsReceived"))),
        .init("nacks", whole(sum(inbound, "nackCount"))),
        .init("bitrateSent", whole(sum(outbound, "bytesSent") * 8 / seconds)),
        .init("bitrateReceived", whole(sum(inbound, "bytesReceived") * 8 / seconds)),
        .init("jitter", JSONValue(rounded: inbound.compactMap { $0["jitter"]?.asDouble }.max().map { $0 * 1000 })),
    ]
    if kind == .video {
        members += [
            .init("keyFramesReceived", whole(sum(inbound, "keyFramesReceived"))),
            .init("freezes", whole(sum(inbound, "freezeCount"))),
            .init("freezeDuration", JSONValue(rounded: sum(inbound, "totalFreezesDuration") * 1000)),
            .init("plis", whole(sum(inbound, "pliCount"))),
        ]
    }
    return .object(members)
}

extension Candidate {
    var json: JSONValue {
        .object([
            .init("type", .string(type.rawValue)), .init("address", .string("\(address.ip)")),
            .init("port", .integer(Int64(address.port))), .init("protocol", .string(transport.isTCP ? "tcp" : "udp")),
            .init("tcpType", JSONValue(transport.tcpType)),
            .init("priority", .integer(Int64(priority))),
            .init("relatedAddress", JSONValue(relatedAddress.map { "\($0)" })),
        ])
    }
}

extension StatisticsObject {
    var json: JSONValue {
        .object(
            [
                .init("id", .string(id)), .init("type", .string(type.rawValue)),
                .init("timestamp", JSONValue(rounded: timestamp)),
            ]
                + members.map { member in
                    switch member.value {
                    case .integer(let value): .init(member.name, .integer(value))
                    case .number(let value): .init(member.name, .number(value))
                    case .string(let value): .init(member.name, .string(value))
                    case .bool(let value): .init(member.name, .bool(value))
                    }
                })
    }
}

extension RecordingSummary {
    var json: [JSONValue.Member] {
        [
            .init("path", .string(path)), .init("duration", JSONValue(rounded: duration.seconds * 1000)),
            .init("format", .string("\(format)")), .init("bytes", .integer(bytes)),
            .init("synchronization", .string(synchronization.rawValue)),
            .init("notes", .array(notes.map(JSONValue.string))),
            .init(
                "tracks",
                .array(
                    tracks.map { track in
                        .object([
                            .init("kind", .string(track.kind.rawValue)),
                            .init("codec", JSONValue(track.codec?.rawValue)),
                            .init("frames", .integer(Int64(track.frames))),
                            .init("start", JSONValue(rounded: track.start.map { $0.seconds * 1000 })),
                            .init("duration", JSONValue(rounded: track.duration.seconds * 1000)),
                            .init("keyframes", .integer(Int64(track.keyframes))),
                            .init("gapCount", .integer(Int64(track.gapCount))),
                            .init(
                                "gaps",
                                .array(
                                    track.gaps.map { gap in
                                        .object([
                                            .init("start", JSONValue(rounded: gap.start.seconds * 1000)),
                                            .init("duration", JSONValue(rounded: gap.length.seconds * 1000)),
                                            .init("cause", .string(gap.cause.rawValue)),
                                        ])
                                    })),
                        ])
                    })),
        ]
    }
}
