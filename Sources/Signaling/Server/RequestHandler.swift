import NIOCore
import NIOHTTP1
import NIOWebSocket
import Primitives

/// Answers what does not become a WebSocket: the page, health, metrics, refusals. One request a connection.
///
/// Unchecked: it belongs to its channel's event loop.
final class RequestHandler: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let core: RoomServerCore
    private var isAnswered = false

    init(core: RoomServerCore) { self.core = core }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        let answer = core.answer(to: head)
        var headers = HTTPHeaders(answer.headers.map { ($0.0, $0.1) })
        headers.add(name: "content-length", value: "\(answer.body.readableBytes)")
        headers.add(name: "connection", value: "close")
        context.write(
            wrapOutboundOut(
                .head(
                    HTTPResponseHead(
                        version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: headers))),
            promise: nil)
        if head.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        // The other side closes; the connection's deadline sees to it that it does.
        context.close(mode: .output, promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { context.close(mode: .all, promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A WebSocket that was refused: the request comes here next, and gets its answer.
        if error is NIOWebSocketUpgradeError || error is HTTPServerUpgradeErrors { return }
        context.close(mode: .all, promise: nil)
    }
}

/// Bounds what a connection may say before it is a WebSocket.
final class RequestBound: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private var left: Int

    init(bytes: Int) { left = bytes }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        left -= unwrapInboundIn(data).readableBytes
        guard left >= 0 else { return context.close(mode: .all, promise: nil) }
        context.fireChannelRead(data)
    }
}

/// What goes back over HTTP.
struct Answer {
    var status: Int
    var headers: [(String, String)]
    var body: ByteBuffer

    private static let common = [
        ("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ]

    static func text(_ text: String, status: Int = 200, type: String = "text/plain; charset=utf-8") -> Answer {
        var headers = [("content-type", type), ("content-security-policy", "default-src 'none'")] + common
        if status == 401 { headers.append(("www-authenticate", "Bearer")) }
        if status == 426 { headers.append(("upgrade", "websocket")) }
        if status == 405 { headers.append(("allow", "GET, HEAD")) }
        return Answer(status: status, headers: headers, body: ByteBuffer(string: text))
    }

    /// The page of calls. Its one script runs by the nonce it is given here; whatever else gets into it does not.
    static func page(_ bytes: [UInt8], host: String?, random: inout RandomSource) -> Answer {
        let nonce = random.bytes(16).hexadecimal
        let page = String(decoding: bytes, as: UTF8.self).replacing("<script", with: "<script nonce=\"\(nonce)\"")
        // Not every browser takes 'self' for WebSockets of the same host.
        let name = host.flatMap { host in
            host.utf8.allSatisfy { byte in
                byte < 0x80
                    && (Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber
                        || [0x2E, 0x2D, 0x3A, 0x5B, 0x5D].contains(byte))
            } ? host : nil
        }
        let sockets = name.map { " ws://\($0) wss://\($0)" } ?? ""
        let policy =
            "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'unsafe-inline'; img-src 'self' data: blob:; "
            + "media-src 'self' blob: mediastream:; connect-src 'self'\(sockets); worker-src blob:; base-uri 'none'; "
            + "form-action 'self'; frame-ancestors 'none'"
        return Answer(
            status: 200,
            headers: [
                ("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy),
                ("permissions-policy", "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self)"),
                ("x-frame-options", "DENY"), ("cross-origin-opener-policy", "same-origin"),
            ] + common, body: ByteBuffer(string: page))
    }
}
