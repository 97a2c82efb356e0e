import Primitives

/// Asks STUN servers how our bases look from outside (RFC 8445 §5.1.1.2, RFC 8489 §6.2.1).
///
/// One request per base and server of a family, the first few at once and the others Ta apart. A request is repeated
/// with the same transaction at 250 ms doubling; after seven it waits sixteen first timeouts more and is given up.
/// `gatheringLimit` ends it earlier: a server that cannot be reached costs seconds of "gathering" and nothing else.
/// A 300 with ALTERNATE-SERVER is followed once. Answered requests go on as keepalives with fresh transactions, because
/// a mapping nobody uses is closed by NATs within half a minute, and the other side's answer may take longer.
struct Gatherer: Sendable {
    private struct Request: Sendable {
        var base: LocalBase
        var server: STUNServer
        var id: STUNTransactionID
        var sends = 0
        var nextSend: Instant?
        var isRedirected = false
        var isDone = false
        var mapped: TransportAddress?

        var path: NetworkPath { NetworkPath(local: base.address, remote: server.address) }
    }

    struct Answer: Sendable {
        var base: LocalBase
        var url: String
        var mapped: TransportAddress
    }

    private var requests: [Request] = []
    private var limit: Instant?
    /// Whether mappings are kept open: until a pair is in use, and again when it no longer is.
    private var keepsAlive = true

    var isComplete: Bool { requests.allSatisfy(\.isDone) }

    var deadline: Instant? {
        let next = requests.reduce(nil as Instant?) { earliest($0, $1.nextSend) }
        return isComplete ? next : earliest(next, limit)
    }

    mutating func start(
        _ bases: [LocalBase], _ configuration: ICEAgent.Configuration, random: inout RandomSource, at now: Instant
    ) {
        limit = now + configuration.gatheringLimit
        var time = now
        for server in configuration.stunServers {
            for base in bases where base.address.ip.family == server.address.ip.family {
                guard !base.address.ip.isLoopback || server.address.ip.isLoopback, !base.address.ip.isLinkLocal,
                    requests.count < configuration.limits.serverRequests
                else { continue }
                requests.append(
                    Request(base: base, server: server, id: STUNTransactionID(using: &random), nextSend: time))
                if requests.count >= configuration.checkBurst { time += configuration.checkInterval }
            }
        }
    }

    mutating func advance(
        to now: Instant, _ configuration: ICEAgent.Configuration, random: inout RandomSource,
        into out: inout ICEAgent.Output
    ) {
        let isOver = limit.map { $0 <= now } ?? false
        for i in requests.indices {
            if isOver, !requests[i].isDone { giveUp(i, "no answer within \(configuration.gatheringLimit)", into: &out) }
            guard let due = requests[i].nextSend, due <= now else { continue }
            if requests[i].isDone {
                requests[i].id = STUNTransactionID(using: &random)
                requests[i].nextSend = now + configuration.keepalive
            } else if requests[i].sends >= configuration.serverRequestLimit {
                giveUp(i, "no answer to \(requests[i].sends) requests", into: &out)
                continue
            } else {
                requests[i].sends += 1
                let isLast = requests[i].sends >= configuration.serverRequestLimit
                let factor = isLast ? configuration.serverFinalWait : Int64(1 << min(requests[i].sends - 1, 16))
                requests[i].nextSend = now + configuration.serverTimeout * factor
            }
            let request = STUNMessage(.request, transactionID: requests[i].id)
            out.datagrams.append(Datagram(bytes: request.encoded(), path: requests[i].path))
        }
        if isOver { limit = nil }
    }

    private mutating func giveUp(_ i: Int, _ reason: String, into out: inout ICEAgent.Output) {
        requests[i].isDone = true
        requests[i].nextSend = nil
        let request = requests[i]
        out.trace.append(
            .serverFailed(url: request.server.url, base: request.base.address, reason: reason, isFinal: true))
    }

    func expects(_ response: STUNMessage, on path: NetworkPath) -> Bool {
        requests.contains { $0.id == response.transactionID && $0.path == path }
    }

    /// The answer of a server, when it is the first of its request. There is no integrity to check: a STUN server needs
    /// no credentials; transaction and source have to do (RFC 8489 §6.3.3).
    mutating func receive(
        _ response: STUNMessage, on path: NetworkPath, _ configuration: ICEAgent.Configuration,
        random: inout RandomSource, at now: Instant, into out: inout ICEAgent.Output
    ) -> Answer? {
        guard let i = requests.firstIndex(where: { $0.id == response.transactionID && $0.path == path }) else {
            return nil
        }
        let request = requests[i]
        guard response.messageClass == .success else {
            guard !request.isDone else { return nil }
            redirect(i, response, random: &random, at: now, into: &out)
            return nil
        }
        guard response.unknownRequiredTypes.isEmpty, let mapped = response.mappedAddress else {
            if !request.isDone { giveUp(i, "no mapped address in its answer", into: &out) }
            return nil
        }
        requests[i].nextSend = keepsAlive ? now + configuration.keepalive : nil
        guard !request.isDone || request.mapped != mapped else { return nil }
        requests[i].isDone = true
        requests[i].mapped = mapped
        out.trace.append(.serverAnswered(url: request.server.url, base: request.base.address, mapped: mapped))
        return request.isDone ? nil : Answer(base: request.base, url: request.server.url, mapped: mapped)
    }

    private mutating func redirect(
        _ i: Int, _ response: STUNMessage, random: inout RandomSource, at now: Instant,
        into out: inout ICEAgent.Output
    ) {
        let error = response.errorCode ?? .badRequest
        guard error.code == STUNErrorCode.tryAlternate.code, !requests[i].isRedirected,
            let alternate = response.alternateServer, alternate.port != 0, !alternate.ip.isUnspecified,
            alternate.ip.family == requests[i].base.address.ip.family
        else {
            giveUp(i, "error \(error.code) \(error.reason)", into: &out)
            return
        }
        requests[i].isRedirected = true
        requests[i].server.address = alternate
        requests[i].id = STUNTransactionID(using: &random)
        requests[i].sends = 0
        requests[i].nextSend = now
    }

    mutating func keepAlive(_ isWanted: Bool, _ configuration: ICEAgent.Configuration, at now: Instant) {
        guard isWanted != keepsAlive else { return }
        keepsAlive = isWanted
        for i in requests.indices where requests[i].isDone && requests[i].mapped != nil {
            requests[i].nextSend = isWanted ? now + configuration.keepalive : nil
        }
    }
}
