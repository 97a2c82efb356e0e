/// Which of the last packets of one SSRC were here already (RFC 3711 §3.3.2), and what index a sequence number stands for
/// (§3.3.1). The bits form a ring: the bit of an index is the index modulo the size of the window.
struct ReplayWindow {
    /// One past the largest packet index: the rollover counter has 32 bits, the sequence number 16.
    static let end: Int64 = 1 << 48

    /// The newest index recorded; -1 before the first.
    private(set) var newest: Int64 = -1
    private var words = [UInt64](repeating: 0, count: SRTPLimits.window / 64)

    /// The 48-bit index nearest to the newest one. The first number of a stream stands for itself: its rollover counter is
    /// taken to be 0, as is that of a number which would otherwise lie before it.
    @inline(__always)
    static func index(of sequenceNumber: UInt16, newest: Int64) -> Int64 {
        guard newest >= 0 else { return Int64(sequenceNumber) }
        let step = Int16(bitPattern: sequenceNumber &- UInt16(truncatingIfNeeded: newest))
        let index = newest + Int64(step)
        return index >= 0 ? index : index + 65_536
    }

    @inline(__always)
    func isFresh(_ index: Int64) -> Bool {
        if index > newest { return true }
        guard index >= 0, newest - index < Int64(SRTPLimits.window) else { return false }
        return words[word(of: index)] & bit(of: index) == 0
    }

    /// Notes a packet that was authentic. One that is older than the window is not noted.
    @inline(__always)
    mutating func record(_ index: Int64) {
        guard index >= 0 else { return }
        if index > newest {
            clear(after: newest, through: index)
            newest = index
        } else if newest - index >= Int64(SRTPLimits.window) {
            return
        }
        words[word(of: index)] |= bit(of: index)
    }

    private mutating func clear(after old: Int64, through new: Int64) {
        if new - old >= Int64(SRTPLimits.window) {
            for index in words.indices { words[index] = 0 }
            return
        }
        var index = old + 1
        while index <= new {
            words[word(of: index)] &= ~bit(of: index)
            index += 1
        }
    }

    @inline(__always)
    private func word(of index: Int64) -> Int { Int((index & Int64(SRTPLimits.window - 1)) >> 6) }
    @inline(__always)
    private func bit(of index: Int64) -> UInt64 { 1 << UInt64(index & 63) }
}

/// State per SSRC, found by a glance at the last one used and then in order: a call has a handful.
struct StreamTable<State> {
    private var ssrcs: [UInt32] = []
    private var states: [State] = []
    private var last = 0

    var count: Int { ssrcs.count }

    @inline(__always)
    mutating func position(of ssrc: UInt32) -> Int? {
        if last < ssrcs.count, ssrcs[last] == ssrc { return last }
        guard let found = ssrcs.firstIndex(of: ssrc) else { return nil }
        last = found
        return found
    }

    /// The position of the SSRC's state, which is a new one where it had none. A full table takes no more.
    @inline(__always)
    mutating func position(of ssrc: UInt32, orInserting state: @autoclosure () -> State) throws(SRTPError) -> Int {
        if let position = position(of: ssrc) { return position }
        guard ssrcs.count < SRTPLimits.streams else { throw .tooManyStreams }
        ssrcs.append(ssrc)
        states.append(state())
        last = ssrcs.count - 1
        return last
    }

    subscript(position: Int) -> State {
        @inline(__always) get { states[position] }
        @inline(__always) _modify { yield &states[position] }
    }
}
