import DTLSSRTP
import Endpoint
import ICE
import Primitives
import SDP
import SimulatedNetwork

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// Read in pieces of any size, a proxy's answer says the same.
func fuzzHTTPTunnel(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let tunnel = HTTPTunnel(host: "turn.example.org", port: 443)
    func read(by size: Int) -> Result<[UInt8]?, HTTPTunnelFailure> {
        var answer = HTTPTunnelAnswer(to: tunnel)
        var rest = bytes.dropFirst()
        while !rest.isEmpty {
            do throws(HTTPTunnelFailure) {
                let piece = Array(rest.prefix(size))
                rest = rest.dropFirst(size)
                if let after = try answer.receive(piece) { return .success(after + rest) }
            } catch {
                return .failure(error)
            }
        }
        return .success(nil)
    }
    precondition(read(by: Int(first) + 1) == read(by: 100_000), "an answer depends on how it is cut")
}

/// What is accepted is accepted again once written, and is the same.
func fuzzSDP(_ bytes: [UInt8]) {
    guard let description = try? SessionDescription(parsing: text(bytes)) else { return }
    let again = try? SessionDescription(parsing: description.serialized)
    precondition(again == description, "written text says something else")
}

func fuzzCandidate(_ bytes: [UInt8]) {
    _ = try? Attribute(parsing: text(bytes))
    guard let candidate = try? CandidateAttribute(parsing: text(bytes)) else { return }
    let again = try? CandidateAttribute(parsing: candidate.description)
    precondition(again == candidate, "written candidate says something else")
    _ = (candidate.generation, candidate.ufrag, candidate.networkID, candidate.networkCost)
}

func fuzzAddress(_ bytes: [UInt8]) {
    let text = text(bytes)
    if let address = IPAddress(text) { precondition(IPAddress(address.description) == address) }
    if let address = TransportAddress(text) { precondition(TransportAddress(address.description) == address) }
    if let url = try? ICEServerURL(parsing: text) {
        precondition((try? ICEServerURL(parsing: url.description))?.uri == url.uri)
    }
    let parts = text.split(separator: " ", maxSplits: 1)
    if parts.count == 2 { _ = Fingerprint(algorithm: parts[0], value: parts[1]) }
}

func fuzzSignaling(_ bytes: [UInt8]) { _ = try? SignalingMessage(parsing: text(bytes)) }

func fuzzNetworkSpecification(_ bytes: [UInt8]) {
    guard let specification = try? NetworkSpecification(parsing: text(bytes)) else { return }
    let again = try? NetworkSpecification(parsing: specification.description)
    precondition(again == specification, "written specification says something else")
    _ = Topology.twoPeers(specification, seed: 1)
}

func fuzzExpectation(_ bytes: [UInt8]) {
    guard let expectation = try? Expectation(parsing: text(bytes)) else { return }
    _ = expectation.evaluate(
        on: ["setup": 300, "video": ["freezes": 0.5, "codec": "VP8"], "errors": [nil, true]])
}
