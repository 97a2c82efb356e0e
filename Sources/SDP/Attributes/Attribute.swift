import Primitives

/// An `a=` line with its meaning. Names this list lacks are `.other`.
public enum Attribute: Hashable, Sendable {
    // Grouping and identity
    /// `group` (RFC 5888), `BUNDLE` (RFC 8843) and `LS` among its semantics. Session level.
    case group(MediaGroup)
    /// `mid` (RFC 5888 §4)
    case mid(String)
    /// `msid` (RFC 8830)
    case msid(MediaStreamIdentification)
    /// `bundle-only` (RFC 8843 §6)
    case bundleOnly

    // ICE (RFC 8839, RFC 8840)
    case iceUfrag(String)
    case icePwd(String)
    case iceOptions([String])
    case iceLite
    /// Milliseconds between checks (RFC 8839 §5.6).
    case icePacing(Int)
    indirect case candidate(CandidateAttribute)
    case endOfCandidates
    case remoteCandidates([RemoteCandidate])

    // DTLS (RFC 8122, RFC 8842)
    case fingerprint(FingerprintAttribute)
    case setup(SetupRole)
    case tlsID(String)

    // RTP and RTCP
    case direction(MediaDirection)
    /// `rtcp` (RFC 3605)
    case rtcp(port: UInt16, address: ConnectionData?)
    case rtcpMux
    /// `rtcp-mux-only` (RFC 8858)
    case rtcpMuxOnly
    /// `rtcp-rsize` (RFC 5506)
    case rtcpReducedSize
    /// `rtcp-xr` (RFC 3611 §5.1): the formats, such as `rcvr-rtt=all`.
    case rtcpXR([String])
    case rtpmap(RTPMap)
    case fmtp(FormatParameters)
    /// `rtcp-fb` (RFC 4585 §4.2)
    case rtcpFeedback(RTCPFeedback)
    /// `extmap` (RFC 8285)
    case extmap(ExtensionMap)
    case extmapAllowMixed
    /// `ssrc` (RFC 5576 §4.1)
    case ssrc(SourceAttribute)
    /// `ssrc-group` (RFC 5576 §4.2)
    case ssrcGroup(SourceGroup)
    /// `rid` (RFC 8851)
    case rid(RestrictionIdentifier)
    /// `simulcast` (RFC 8853)
    case simulcast(Simulcast)
    /// Milliseconds of media in a packet (RFC 8866 §6.4).
    case ptime(Int)
    case maxptime(Int)

    // Data channels (RFC 8841)
    case sctpPort(UInt16)
    case maxMessageSize(UInt64)

    /// A name not listed above, or a listed one whose value did not parse.
    case other(name: String, value: String?)

    /// Parses `name` or `name:value`, with or without a leading `a=`.
    public init(parsing text: String) throws(SDPError) {
        var reader = FieldReader(text)
        _ = reader.skip(prefix: "a=")
        do throws(Malformed) {
            guard reader.all({ $0 != 10 && $0 != 13 && $0 != 0 }) else {
                throw Malformed("it holds a line end or NUL", "pass one attribute at a time")
            }
            self = try Attribute(reading: reader)
        } catch { throw SDPError(error, line: 0, text: text) }
    }

    /// Whether a malformed value makes the whole description unusable.
    static func isEssential(_ name: String) -> Bool {
        switch name {
        case "group", "mid", "ice-ufrag", "ice-pwd", "fingerprint", "setup", "rtpmap", "extmap", "sctp-port", "":
            true
        default: false
        }
    }
}

extension Attribute: CustomStringConvertible {
    /// `name` or `name:value`, without `a=`.
    public var description: String {
        switch self {
        case .group(let group): "group:\(group)"
        case .mid(let mid): "mid:\(mid)"
        case .msid(let msid): "msid:\(msid)"
        case .bundleOnly: "bundle-only"
        case .iceUfrag(let ufrag): "ice-ufrag:\(ufrag)"
        case .icePwd(let password): "ice-pwd:\(password)"
        case .iceOptions(let options): "ice-options:\(options.joined(separator: " "))"
        case .iceLite: "ice-lite"
        case .icePacing(let milliseconds): "ice-pacing:\(milliseconds)"
        case .candidate(let candidate): candidate.description
        case .endOfCandidates: "end-of-candidates"
        case .remoteCandidates(let list):
            "remote-candidates:\(list.map(\.description).joined(separator: " "))"
        case .fingerprint(let fingerprint): "fingerprint:\(fingerprint)"
        case .setup(let role): "setup:\(role.rawValue)"
        case .tlsID(let id): "tls-id:\(id)"
        case .direction(let direction): direction.rawValue
        case .rtcp(let port, let address): address.map { "rtcp:\(port) \($0)" } ?? "rtcp:\(port)"
        case .rtcpMux: "rtcp-mux"
        case .rtcpMuxOnly: "rtcp-mux-only"
        case .rtcpReducedSize: "rtcp-rsize"
        case .rtcpXR(let formats): formats.isEmpty ? "rtcp-xr" : "rtcp-xr:\(formats.joined(separator: " "))"
        case .rtpmap(let map): "rtpmap:\(map)"
        case .fmtp(let parameters): "fmtp:\(parameters)"
        case .rtcpFeedback(let feedback): "rtcp-fb:\(feedback)"
        case .extmap(let map): "extmap:\(map)"
        case .extmapAllowMixed: "extmap-allow-mixed"
        case .ssrc(let source): "ssrc:\(source)"
        case .ssrcGroup(let group): "ssrc-group:\(group)"
        case .rid(let rid): "rid:\(rid)"
        case .simulcast(let simulcast): "simulcast:\(simulcast)"
        case .ptime(let milliseconds): "ptime:\(milliseconds)"
        case .maxptime(let milliseconds): "maxptime:\(milliseconds)"
        case .sctpPort(let port): "sctp-port:\(port)"
        case .maxMessageSize(let size): "max-message-size:\(size)"
        case .other(let name, let value): value.map { "\(name):\($0)" } ?? name
        }
    }
}
