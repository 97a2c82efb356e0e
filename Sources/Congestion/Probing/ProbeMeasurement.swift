import Primitives

/// Measures what the packets of probes say about the network: the rate at which they left, and at which they came.
///
/// The first packet's bytes were not carried in the measured time at the receiver, nor the last one's at the sender. A
/// probe that came at the rate it was sent at says "at least so much"; one that came slower filled the bottleneck, and
/// 95 % of the received rate is left to the estimate so that the queue drains.
struct ProbeMeasurement: Sendable {
    private struct Cluster {
        var id: Int
        var packets = 0
        var bytes = 0
        var firstSent: Instant
        var lastSent: Instant
        var lastSentBytes = 0
        var firstArrival: Instant
        var firstArrivalBytes = 0
        var lastArrival: Instant
    }
    /// The newest few; a probe's packets come together.
    private var clusters: [Cluster] = []
    private let maximumClusters = 8

    /// The bitrate that the probe shows to be carried, once enough of its packets are known to have come.
    mutating func receive(_ result: PacketResult) -> Int? {
        guard let id = result.probe, let arrival = result.arrival else { return nil }
        let index: Int
        if let known = clusters.firstIndex(where: { $0.id == id }) {
            index = known
        } else {
            if clusters.count == maximumClusters { clusters.removeFirst() }
            clusters.append(
                Cluster(
                    id: id, firstSent: result.sentAt, lastSent: result.sentAt, lastSentBytes: result.bytes,
                    firstArrival: arrival, firstArrivalBytes: result.bytes, lastArrival: arrival))
            index = clusters.count - 1
        }
        clusters[index].packets += 1
        clusters[index].bytes += result.bytes
        if result.sentAt < clusters[index].firstSent { clusters[index].firstSent = result.sentAt }
        if result.sentAt >= clusters[index].lastSent {
            clusters[index].lastSent = result.sentAt
            clusters[index].lastSentBytes = result.bytes
        }
        if arrival < clusters[index].firstArrival {
            clusters[index].firstArrival = arrival
            clusters[index].firstArrivalBytes = result.bytes
        }
        if arrival > clusters[index].lastArrival { clusters[index].lastArrival = arrival }
        return bitrate(of: clusters[index])
    }

    private func bitrate(of cluster: Cluster) -> Int? {
        guard cluster.packets >= 4 else { return nil }
        let sending = cluster.lastSent - cluster.firstSent
        let receiving = cluster.lastArrival - cluster.firstArrival
        guard sending > .zero, receiving > .zero, sending <= .milliseconds(1_000), receiving <= .milliseconds(1_000)
        else { return nil }
        let sent = Double((cluster.bytes - cluster.lastSentBytes) * 8) / sending.seconds
        let received = Double((cluster.bytes - cluster.firstArrivalBytes) * 8) / receiving.seconds
        // Arriving at twice the rate of sending, the packets were held up and let go together: no measurement.
        guard received <= 2 * sent else { return nil }
        let rate = received < 0.9 * sent ? 0.95 * received : Swift.min(sent, received)
        return rate < 1e12 ? Int(rate) : nil
    }
}
