import Primitives

/// The text form, in the order of the table and without what is as in the ideal network. Parsing it gives the same value.
extension NetworkSpecification: CustomStringConvertible {
    /// The longest delay, jitter or round trip that can be written.
    static var longestTime: TimeDelta { .milliseconds(60_000) }

    public var description: String {
        var items: [String] = []
        // A round trip may be longer than the longest that can be written as one time.
        if up.delay == down.delay, roundTrip <= Self.longestTime {
            if up.delay > .zero { items.append("rtt=" + timeText(roundTrip)) }
        } else {
            items.append("up.delay=" + timeText(up.delay))
            items.append("down.delay=" + timeText(down.delay))
        }
        func add(_ key: String, _ text: (Direction) -> String?) {
            switch (text(up), text(down)) {
            case (nil, nil): break
            case (let a?, let b?) where a == b: items.append(key + "=" + a)
            case (let a, let b):
                if let a { items.append("up." + key + "=" + a) }
                if let b { items.append("down." + key + "=" + b) }
            }
        }
        add("jitter") { $0.jitter > .zero ? timeText($0.jitter) : nil }
        add("loss") { $0.loss > 0 ? shareText($0.loss) : nil }
        add("burst") { $0.burst.map(numberText) }
        add("duplicate") { $0.duplicate > 0 ? shareText($0.duplicate) : nil }
        add("reorder") { $0.reorder > 0 ? shareText($0.reorder) : nil }
        add("rate") { $0.rate.map(rateText) }
        add("queue") { $0.queue.map(queueText) }
        add("mtu") { $0.mtu.map { "\($0)" } }
        add("outage") { $0.outages.isEmpty ? nil : $0.outages.map(rangeText).joined(separator: "+") }
        if leftNAT != .none || rightNAT != .none {
            items.append("nat=" + (leftNAT == rightNAT ? leftNAT.rawValue : leftNAT.rawValue + "/" + rightNAT.rawValue))
        }
        if !hasSTUNServer { items.append("stun=off") }
        if ipv6 != .off { items.append("ipv6=" + ipv6.rawValue) }
        return items.joined(separator: ",")
    }
}

/// The largest unit that leaves no remainder.
private func timeText(_ time: TimeDelta) -> String {
    for (factor, unit) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] as [(Int64, String)]
    where time.nanoseconds % factor == 0 {
        return "\(time.nanoseconds / factor)\(unit)"
    }
    return "\(time.nanoseconds)ns"
}

private func rangeText(_ range: Range<TimeDelta>) -> String {
    timeText(range.lowerBound) + "-" + timeText(range.upperBound)
}

/// Per cent where that says exactly the same number, else the number itself.
private func shareText(_ share: Double) -> String {
    let percent = (share * 1e8).rounded() / 1e6
    return percent / 100 == share ? numberText(percent) + "%" : numberText(share)
}

private func numberText(_ number: Double) -> String {
    Int(exactly: number).map { "\($0)" } ?? "\(number)"
}

private func rateText(_ rate: Int) -> String {
    for (factor, unit) in [(1_000_000_000, "gbps"), (1_000_000, "mbps"), (1_000, "kbps")] where rate % factor == 0 {
        return "\(rate / factor)\(unit)"
    }
    return "\(rate)bps"
}

private func queueText(_ queue: QueueLimit) -> String {
    switch queue {
    case .time(let time): timeText(time)
    case .bytes(let bytes): bytes % 1_000 == 0 && bytes > 0 ? "\(bytes / 1_000)kb" : "\(bytes)b"
    }
}
