import Foundation
import ICE
import Primitives

/// All that a gathering brought to light, from which each server gets a verdict.
struct GatherFindings {
    var facts: GatherJournal.Facts
    /// Milliseconds from a socket of ours through a relayed address and back.
    var roundTrips: [TransportAddress: Double]
    /// What STUN servers over TCP and TLS said, by URL.
    var bindings: [String: StreamBinding.Answer]
    /// Families that we have addresses of: relayed addresses of others cannot be tried.
    var ownFamilies: Set<IPAddress.Family>
    var wantedFamilies: TURNAllocation.RequestedFamilies
    /// Whether what goes over TCP and TLS leads through a proxy.
    var isProxied: Bool
    /// Servers whose names could not be resolved, and why.
    var unresolved: [String: String]
    /// The user that servers were told whose URL names none.
    var login: TURNCredential?
    /// Where each URL leads that is asked over UDP.
    var addresses: [String: [TransportAddress]]

    func conclude(_ plan: GatherPlan, _ urls: [ICEServerURL]) -> GatherResult {
        var result = GatherResult()
        result.candidates = facts.candidates
        for url in urls {
            result.servers.append(verdict(url, plan))
        }
        result.missing = plan.required.filter { type in !facts.candidates.contains { $0.type == type } }
        if !plan.required.isEmpty {
            result.status = result.missing.isEmpty ? .success : .expectation
        } else if result.servers.contains(where: { !$0.works }) {
            result.status = .ice
        }
        return result
    }

    private func verdict(_ url: ICEServerURL, _ plan: GatherPlan) -> ServerVerdict {
        if let reason = unresolved["\(url)"] {
            return ServerVerdict(
                url: "\(url)", service: url.uri.service.rawValue, works: false, text: "701, \(reason)", errorCode: 701)
        }
        if url.uri.service == .turn { return turnVerdict(url, plan) }
        return url.stream == nil ? stunVerdict(url, plan) : connectedVerdict(url)
    }

    // MARK: STUN

    private func stunVerdict(_ url: ICEServerURL, _ plan: GatherPlan) -> ServerVerdict {
        let name = "\(url)"
        guard facts.answered.contains(name) else { return failed(url, plan) }
        let found = facts.candidates.first { $0.url == name && $0.type == "srflx" }
        let time = found.map { milliseconds($0.after.seconds * 1_000) }
        return ServerVerdict(
            url: name, service: "stun", works: true,
            text: time.map { "srflx: STUN works, \($0)" } ?? "STUN works, and sees us at an address known already",
            milliseconds: found.map { $0.after.seconds * 1_000 })
    }

    private func connectedVerdict(_ url: ICEServerURL) -> ServerVerdict {
        let answer = bindings["\(url)"] ?? StreamBinding.Answer(reason: "there is no address here to connect from")
        guard let mapped = answer.mapped else {
            return ServerVerdict(
                url: "\(url)", service: "stun", works: false, text: "701, \(answer.reason)", errorCode: 701)
        }
        return ServerVerdict(
            url: "\(url)", service: "stun", works: true,
            text:
                "STUN works over \(url.uri.isSecure ? "TLS" : "TCP"), \(milliseconds(answer.milliseconds)), and sees us as "
                + "\(mapped); calls over UDP have no use for that address", milliseconds: answer.milliseconds)
    }

    // MARK: TURN

    private func turnVerdict(_ url: ICEServerURL, _ plan: GatherPlan) -> ServerVerdict {
        let name = "\(url)"
        let relayed = facts.relayed.filter { $0.value == name }.keys
        guard !relayed.isEmpty else { return failed(url, plan) }
        let time = facts.candidates.first { $0.url == name && $0.type == "relay" }.map { $0.after.seconds * 1_000 }
        var verdict = ServerVerdict(url: name, service: "turn", works: true, text: "", milliseconds: time)
        let after = time.map(milliseconds) ?? "late"
        let families = IPAddress.Family.allCases.filter { family in relayed.contains { $0.ip.family == family } }
        var untried: [String] = []
        var trips: [Double] = []
        for family in families {
            guard ownFamilies.contains(family) else {
                untried.append(family == .ipv4 ? "IPv4" : "IPv6")
                continue
            }
            guard let trip = relayed.filter({ $0.ip.family == family }).compactMap({ roundTrips[$0] }).min() else {
                return dataFailed(verdict, after, family, of: families.count)
            }
            trips.append(trip)
        }
        verdict.text = "relay: TURN works, \(after)"
        if let trip = trips.max() {
            verdict.text += ", data passed through and back (\(milliseconds(trip)))"
            verdict.dataRoundTripMilliseconds = trip
        }
        if wantedFamilies == .both, families.count == 1 {
            verdict.text += "; it gave no \(families[0] == .ipv4 ? "IPv6" : "IPv4") address"
        }
        if !untried.isEmpty {
            let names = untried.joined(separator: " and ")
            verdict.text += "; no data was sent to the \(names) address, for there is no \(names) here"
        }
        return verdict
    }

    private func dataFailed(
        _ verdict: ServerVerdict, _ after: String, _ family: IPAddress.Family, of families: Int
    ) -> ServerVerdict {
        var verdict = verdict
        verdict.works = false
        let address = families == 1 ? "an address" : family == .ipv4 ? "an IPv4 address" : "an IPv6 address"
        verdict.text = "relay: \(address) was given after \(after), but "
        if let refusal = facts.refusals.first(where: { $0.url == verdict.url }) {
            verdict.errorCode = 403
            verdict.text += "the server does not permit \(refusal.reason)"
        } else {
            verdict.text += "no data came through it: is its port range open?"
        }
        return verdict
    }

    // MARK: Failure

    private func failed(_ url: ICEServerURL, _ plan: GatherPlan) -> ServerVerdict {
        let name = "\(url)"
        var reasons: [String] = []
        for failure in facts.failures where failure.url == name && !reasons.contains(failure.reason) {
            reasons.append(failure.reason)
        }
        // One network of several may be the wrong one; what a server said is worth more than its silence.
        let told = reasons.first { $0.prefix(3).allSatisfy(\.isNumber) }
        let silence =
            url.stream == nil
            ? "no answer within \(plan.limit)"
            : "no connection within \(plan.limit)\(isProxied ? " through the proxy" : "")"
        var reason = told ?? reasons.first ?? silence
        if told == nil, let error = facts.unreachable.first(where: { addresses[name]?.contains($0.remote) ?? false }) {
            reason += "; \(error.reason)"
        }
        if told?.hasPrefix("401") == true { reason += expiry(url) }
        let code = told.flatMap { Int($0.prefix(3)) } ?? 701
        return ServerVerdict(
            url: name, service: url.uri.service.rawValue, works: false, text: code == 701 ? "701, \(reason)" : reason,
            errorCode: code)
    }

    /// What the user name says of its end, where it has one (`use-auth-secret`: `seconds since 1970:name`).
    private func expiry(_ url: ICEServerURL) -> String {
        guard let user = (url.credential ?? login)?.username,
            let end = user.split(separator: ":").first.flatMap({ Int64($0) }),
            end > 100_000_000, Date(timeIntervalSince1970: TimeInterval(end)) < Date()
        else { return "" }
        return "; the user name expired at \(Date(timeIntervalSince1970: TimeInterval(end)).formatted(.iso8601))"
    }

    private func milliseconds(_ value: Double) -> String { oneDecimal(value) + " ms" }
}
