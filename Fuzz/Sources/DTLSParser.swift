import DTLSSRTP
import Primitives

/// The first byte chooses the role; the rest are datagrams for a transport in that role, whose randomness repeats, so
/// that the datagrams of a recorded handshake go through it to the end.
func fuzzDTLS(_ bytes: [UInt8]) {
    guard let first = bytes.first, let identities else { return }
    let role: DTLSRole = first & 1 == 0 ? .server : .client
    let transport = makeTransport(role, identities)
    var now = Instant.zero
    var output = DTLSTransport.Output()
    transport.start(as: role, at: now, into: &output)
    for record in Records(bytes.dropFirst()) {
        now = now + record.after
        transport.receive(record.bytes, at: now, into: &output)
        if let due = transport.deadline, due <= now {
            transport.advance(to: now, into: &output)
            precondition(transport.deadline.map { $0 > now } ?? true)
        }
        output.removeAll()
    }
    transport.close(at: now, into: &output)
}

struct Identities {
    let client: Certificate
    let server: Certificate
}

let identities: Identities? = {
    var random = RandomSource.seeded(1)
    return SeededRandomness.run(&random) {
        guard let client = try? Certificate.generate(at: 1_700_000_000),
            let server = try? Certificate.generate(at: 1_700_000_000)
        else { return nil }
        return Identities(client: client, server: server)
    }
}()

func makeTransport(_ role: DTLSRole, _ identities: Identities) -> DTLSTransport {
    let isClient = role == .client
    var configuration = DTLSTransport.Configuration(certificate: isClient ? identities.client : identities.server)
    configuration.clock = .virtual
    configuration.randomness = .seeded(isClient ? 11 : 12)
    let transport = DTLSTransport(configuration)
    var output = DTLSTransport.Output()
    transport.setRemoteFingerprints(
        [(isClient ? identities.server : identities.client).fingerprint], at: .zero, into: &output)
    return transport
}
