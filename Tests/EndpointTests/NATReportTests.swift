import Endpoint
import ICE
import Primitives
import Testing

/// What `postern nat` says of what was found.
@Suite struct NATReportTests {
    private func text(_ change: (inout NATFindings) -> Void) -> String {
        var findings = NATFindings(local: TransportAddress(IPAddress(v4: 0x0A00_0001), 5_000))
        findings.mapped = TransportAddress(IPAddress(v4: 0xC000_0201), 5_000)
        findings.hasTwoAddresses = true
        change(&findings)
        return NATReport(url: "stun:stun.example.org:3478", findings: findings).sentences.joined(separator: "\n")
    }

    @Test func everyClassSaysWhatItMeansForACall() {
        for mapping in NATDependence.allCases {
            for filtering in NATDependence.allCases {
                let text = text {
                    $0.mapping = mapping
                    $0.filtering = filtering
                }
                #expect(text.contains("mapping: \(words(mapping))") && text.contains("filtering: \(words(filtering))"))
                let isSymmetric = mapping != .endpointIndependent
                #expect(text.contains("symmetric)") == isSymmetric)
                #expect(text.contains("else it takes TURN") == isSymmetric)
                #expect(
                    text.contains("with any peer") == (!isSymmetric && filtering == .endpointIndependent), "\(text)")
            }
        }
    }

    private func words(_ dependence: NATDependence) -> String {
        dependence == .addressAndPortDependent ? "address- and port-dependent" : dependence.rawValue
    }

    @Test func noNATAndNoAnswerAreSaid() {
        #expect(text { $0.mapped = nil }.contains("did not answer"))
        let direct = text {
            $0.mapped = $0.local
            $0.filtering = .endpointIndependent
        }
        #expect(direct.contains("there is no NAT") && direct.contains("reach this machine directly"))
    }

    @Test func theLifeOfABindingIsToldInSeconds() {
        func lifetime(_ kept: Double?, _ gone: Double?, isKnown: Bool = true) -> String {
            text {
                var lifetime = NATLifetime(isKnown: isKnown)
                lifetime.keptFor = kept.map { .seconds($0) }
                lifetime.goneAfter = gone.map { .seconds($0) }
                $0.lifetime = lifetime
            }
        }
        #expect(lifetime(60, nil).contains("is kept for 60 s at least"))
        #expect(lifetime(30, 45).contains("is kept for 30 s and gone after 45 s; the checks of a call keep it"))
        #expect(lifetime(2, 5).contains("do not keep it"))
        #expect(lifetime(nil, nil, isKnown: false).contains("not known"))
        #expect(!text { _ in }.contains("binding lifetime"))
    }
}
