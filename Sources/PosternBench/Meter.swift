import CMeasure

/// Time and allocations of a stretch of work on this thread.
struct Cost {
    var nanoseconds: Int64 = 0
    /// -1 and below where allocations are not counted (see CMeasure).
    var allocations: Int64 = 0
    /// Bytes of those allocations.
    var bytes: Int64 = 0

    static func + (a: Cost, b: Cost) -> Cost {
        Cost(
            nanoseconds: a.nanoseconds + b.nanoseconds, allocations: a.allocations + b.allocations,
            bytes: a.bytes + b.bytes)
    }
}

/// Measures what runs between `start` and `stop`, in processor time of this thread: on a machine that others use too,
/// that is steadier than the wall clock. What reading the clock takes is subtracted.
struct Meter {
    static let countsAllocations = measure_allocations() >= 0

    private var began = Cost()

    mutating func start() {
        _ = Self.overhead
        began.allocations = measure_allocations()
        began.bytes = measure_allocated_bytes()
        began.nanoseconds = measure_thread_nanoseconds()
    }

    func stop() -> Cost {
        let nanoseconds = measure_thread_nanoseconds() - began.nanoseconds
        return Cost(
            nanoseconds: max(0, nanoseconds - Self.overhead), allocations: measure_allocations() - began.allocations,
            bytes: measure_allocated_bytes() - began.bytes)
    }

    static func measure(_ body: () throws -> Void) rethrows -> Cost {
        var meter = Meter()
        meter.start()
        try body()
        return meter.stop()
    }

    private static let overhead: Int64 = {
        var samples: [Double] = []
        for _ in 0..<1_000 {
            let start = measure_thread_nanoseconds()
            samples.append(Double(measure_thread_nanoseconds() - start))
        }
        return Int64(samples.median)
    }()
}

extension [Double] {
    /// The middle value; 0 of none.
    var median: Double {
        if isEmpty { return 0 }
        let sorted = sorted()
        return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2
    }
}
