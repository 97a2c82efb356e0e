/// What the server counts, in the text format of Prometheus.
struct ServerMetrics {
    var accepted = 0
    var evicted = 0
    var timedOut = 0
    var requests = 0
    var webSockets = 0
    var messages = 0
    var refused: [Int: Int] = [:]

    func text(rooms: Rooms, connections: Int, webSockets open: Int) -> String {
        var lines: [String] = []
        func metric(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: Int)]) {
            lines += ["# HELP postern_\(name) \(help)", "# TYPE postern_\(name) \(type)"]
            lines += samples.map { "postern_\(name)\($0.labels) \($0.value)" }
        }
        metric("rooms", "gauge", "Rooms in use.", [("", rooms.roomCount)])
        metric("members", "gauge", "Places taken, held ones included.", [("", rooms.memberCount)])
        metric("connections", "gauge", "Open TCP connections.", [("", connections)])
        metric("websockets", "gauge", "Open WebSockets.", [("", open)])
        metric("connections_total", "counter", "TCP connections accepted.", [("", accepted)])
        metric("connections_evicted_total", "counter", "Connections ended to make room.", [("", evicted)])
        metric("connections_timed_out_total", "counter", "Connections without a request in time.", [("", timedOut)])
        metric("requests_total", "counter", "HTTP requests answered.", [("", requests)])
        metric("websockets_total", "counter", "WebSockets opened.", [("", webSockets)])
        metric("messages_total", "counter", "Messages received.", [("", messages)])
        metric("messages_relayed_total", "counter", "Messages passed on.", [("", rooms.relayedMessages)])
        metric(
            "requests_refused_total", "counter", "HTTP requests refused, by status.",
            refused.sorted { $0.key < $1.key }.map { ("{status=\"\($0.key)\"}", $0.value) })
        metric(
            "errors_total", "counter", "Errors told to peers, by code.",
            ServerMessage.ErrorCode.allCases.map { ("{code=\"\($0.rawValue)\"}", rooms.refusals[$0] ?? 0) })
        return lines.joined(separator: "\n") + "\n"
    }
}
