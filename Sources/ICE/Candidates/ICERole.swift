/// Who nominates (RFC 8445 §6.1.1).
public enum ICERole: String, Hashable, Sendable, CaseIterable {
    case controlling
    case controlled

    public var opposite: ICERole { self == .controlling ? .controlled : .controlling }
}
