import Foundation
import Peer
import Primitives

/// Writes the typed trace as JSON lines (`--events`): `{"ms":12.3,"peer":"offerer","layer":"ice","event":"checkSent",…}`.
///
/// Times are milliseconds since `origin`. The members after `event` are the labels of the trace's own cases, so that a new
/// kind of trace needs nothing here. Not thread-safe: one worker owns it.
public final class EventLog {
    private let path: String
    private let handle: FileHandle
    private let origin: Instant
    private var buffer: [UInt8] = []
    /// Why nothing more is written: what was before stays.
    public private(set) var failure: String?

    public init(path: String, origin: Instant) throws(EventLogError) {
        self.path = path
        self.origin = origin
        if path == "-" {
            handle = .standardOutput
            return
        }
        guard let handle = FileHandle(creating: path) else {
            throw EventLogError(path: path, reason: "it cannot be written; check the folder and its permissions")
        }
        self.handle = handle
    }

    public func write(_ entry: TraceEvent, peer: String) {
        guard failure == nil else { return }
        buffer.append(contentsOf: Self.line(for: entry, peer: peer, origin: origin).utf8)
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count > 32_768 { flush() }
    }

    public func flush() {
        guard failure == nil, !buffer.isEmpty else { return }
        do {
            try handle.write(contentsOf: Data(buffer))
        } catch {
            failure =
                "--events \(path): \(error.localizedDescription) What was written before stays; make room, or name another file."
        }
        buffer.removeAll(keepingCapacity: true)
    }

    /// One entry as a line, without its newline.
    public static func line(for entry: TraceEvent, peer: String, origin: Instant) -> String {
        var members: [JSONValue.Member] = [
            .init("ms", JSONValue(rounded: (entry.time - origin).seconds * 1000)), .init("peer", .string(peer)),
        ]
        switch entry.detail {
        case .ice(let trace): members += describe("ice", trace)
        case .dtls(let trace): members += describe("dtls", trace)
        case .rtp(let trace, let ssrc):
            members += describe("rtp", trace)
            members.append(.init("ssrc", .integer(Int64(ssrc.rawValue))))
        case .peer(let trace): members += describe("peer", trace)
        }
        return JSONValue.object(members).line
    }

    private static func describe(_ layer: String, _ value: Any) -> [JSONValue.Member] {
        let mirror = Mirror(reflecting: value)
        guard mirror.displayStyle == .enum, let child = mirror.children.first else {
            return [.init("layer", .string(layer)), .init("event", .string("\(value)"))]
        }
        var members: [JSONValue.Member] = [
            .init("layer", .string(layer)), .init("event", .string(child.label ?? "\(value)")),
        ]
        let payload = Mirror(reflecting: child.value)
        if payload.displayStyle == .tuple {
            for (index, field) in payload.children.enumerated() {
                let label = field.label.map { $0.hasPrefix(".") ? "value\(index)" : $0 } ?? "value\(index)"
                members.append(.init(label, json(field.value)))
            }
        } else {
            members.append(.init("value", json(child.value)))
        }
        return members
    }

    private static func json(_ value: Any) -> JSONValue {
        switch value {
        case let value as Bool: return .bool(value)
        case let value as Int: return .integer(Int64(value))
        case let value as any FixedWidthInteger: return .integer(Int64(clamping: value))
        case let value as Double: return JSONValue(rounded: value)
        case let value as String: return .string(value)
        case let value as SSRC: return .integer(Int64(value.rawValue))
        case let value as TimeDelta: return JSONValue(rounded: value.seconds * 1000)
        case let value as [Any]: return .array(value.map(json))
        case let value as any RawRepresentable: return .string("\(value.rawValue)")
        case Optional<Any>.none: return .null
        default:
            let mirror = Mirror(reflecting: value)
            if mirror.displayStyle == .optional { return mirror.children.first.map { json($0.value) } ?? .null }
            return .string("\(value)")
        }
    }
}

public struct EventLogError: Error, Hashable, Sendable, CustomStringConvertible {
    public var path: String
    public var reason: String
    public var description: String { "--events \(path): \(reason)" }
}
