/// Why a candidate is not used.
public enum ICECandidateRefusal: String, Hashable, Sendable {
    case otherGeneration = "its ufrag is of another generation"
    case duplicate = "already known"
    case unusableAddress = "no address to send to"
    case component = "component other than 1"
    case transport = "no such transport here"
    case tooMany = "too many candidates"
    case family = "family not gathered"
    case hidden = "private, used and not announced"
    case afterEnd = "after end-of-candidates"
}
