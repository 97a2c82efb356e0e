import Primitives
import SDP

/// One end of the one transport, as descriptions carry it. The engine supplies its own when a description is created;
/// the peer's are taken from what it sent.
public struct TransportParameters: Hashable, Sendable {
    public var iceUfrag: String
    public var icePwd: String
    public var fingerprints: [FingerprintAttribute]
    /// Ours: the role we want, `nil` for the default (offer `actpass`, answer `active`). The peer's: what it wrote.
    public var setup: SetupRole?
    public var isICELite: Bool
    public var iceOptions: [String]
    /// Milliseconds between checks (RFC 8839 §5.6).
    public var icePacing: Int?
    public var tlsID: String?
    /// Component 1 only: RTCP is always multiplexed.
    public var candidates: [CandidateAttribute]
    public var endOfCandidates: Bool
    /// The `m=` port and `c=` address; `nil` is written port 9 and 0.0.0.0 (RFC 9429 §5.2.1).
    public var defaultAddress: TransportAddress?

    public init(
        iceUfrag: String, icePwd: String, fingerprints: [FingerprintAttribute], setup: SetupRole? = nil,
        isICELite: Bool = false, iceOptions: [String] = ["trickle"], icePacing: Int? = nil, tlsID: String? = nil,
        candidates: [CandidateAttribute] = [], endOfCandidates: Bool = false, defaultAddress: TransportAddress? = nil
    ) {
        self.iceUfrag = iceUfrag
        self.icePwd = icePwd
        self.fingerprints = fingerprints
        self.setup = setup
        self.isICELite = isICELite
        self.iceOptions = iceOptions
        self.icePacing = icePacing
        self.tlsID = tlsID
        self.candidates = candidates
        self.endOfCandidates = endOfCandidates
        self.defaultAddress = defaultAddress
    }

    /// Whether both are of one ICE session; a change of either credential is a restart (RFC 8839 §4.4.1.1.1).
    public func hasSameCredentials(as other: TransportParameters) -> Bool {
        iceUfrag == other.iceUfrag && icePwd == other.icePwd
    }

    func hasSameFingerprints(as other: TransportParameters) -> Bool {
        Set(fingerprints) == Set(other.fingerprints)
    }
}

extension TransportParameters {
    /// The transport section `index` uses. What the section lacks is looked for in `tagged`, the first of its BUNDLE
    /// group (RFC 8843 §7.1.3: attributes of the transport may stand there only), then in the session's part.
    init(
        of index: Int, tagged: Int, in description: SessionDescription, maximumCandidates: Int
    ) throws(NegotiationError) {
        let section = description.media[index]
        let holder = description.media[tagged]
        func refusal(_ problem: String, _ remedy: String) -> NegotiationError {
            NegotiationError(.invalidRemoteDescription, at: index, mid: section.mid, problem, remedy)
        }
        guard let ufrag = section.iceUfrag ?? holder.iceUfrag ?? description.iceUfrag,
            let pwd = section.icePwd ?? holder.icePwd ?? description.icePwd
        else {
            throw refusal(
                "there is no ice-ufrag or ice-pwd", "the peer must do ICE: check that it is a WebRTC endpoint")
        }
        let candidates = [section.fingerprints, holder.fingerprints, description.fingerprints]
        guard let fingerprints = candidates.first(where: { !$0.isEmpty }) else {
            throw refusal(
                "there is no a=fingerprint, so its media could not be encrypted",
                "the peer must offer DTLS-SRTP (keys in a=crypto are not accepted)")
        }
        // Candidates belong to the section they stand in: where each has its own ports, only one set stays open.
        let source = section.candidates.isEmpty && section.iceUfrag == nil ? holder : section
        let options = [section.iceOptions, holder.iceOptions, description.iceOptions]
        self.init(
            iceUfrag: ufrag, icePwd: pwd, fingerprints: fingerprints,
            setup: section.setup ?? holder.setup ?? description.setup, isICELite: description.isICELite,
            iceOptions: options.first { !$0.isEmpty } ?? [], icePacing: description.icePacing,
            tlsID: section.tlsID ?? holder.tlsID ?? description.tlsID,
            candidates: Array(source.candidates.lazy.filter { $0.component == 1 }.prefix(maximumCandidates)),
            endOfCandidates: source.hasEndOfCandidates || description.hasEndOfCandidates,
            defaultAddress: source.defaultAddress ?? description.defaultAddress(port: source.port))
    }
}

extension MediaDescription {
    fileprivate var defaultAddress: TransportAddress? { defaultAddress(port: port) }
}

extension DescriptionSection {
    /// `c=` and a port, where they are not placeholders.
    fileprivate func defaultAddress(port: UInt16) -> TransportAddress? {
        guard port != 0, port != 9, let text = connection?.address, let ip = IPAddress(text), !ip.isUnspecified else {
            return nil
        }
        return TransportAddress(ip, port)
    }
}
