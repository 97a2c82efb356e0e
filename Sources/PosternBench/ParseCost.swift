import Primitives
import RTP

/// Nanoseconds to parse the header of an RTP packet and to find one of three header extensions in it.
enum ParseCost {
    static func header(rounds: Int = 2_000) -> (parse: Double, parseAndFind: Double, sum: Int) {
        let packets = (0..<256).map { makePacket($0, length: 1_200, hasExtensions: true) }
        var sum = 0
        let parse = Meter.measure {
            for _ in 0..<rounds {
                for packet in packets {
                    guard let header = try? RTPHeader(parsing: packet) else { continue }
                    sum &+= Int(header.sequence.rawValue) &+ header.payloadRange.lowerBound
                }
            }
        }
        let find = Meter.measure {
            for _ in 0..<rounds {
                for packet in packets {
                    guard let header = try? RTPHeader(parsing: packet) else { continue }
                    sum &+= header.extensions.find(4, in: packet)?.lowerBound ?? 0
                }
            }
        }
        let count = Double(rounds * packets.count)
        return (Double(parse.nanoseconds) / count, Double(find.nanoseconds) / count, sum)
    }
}
