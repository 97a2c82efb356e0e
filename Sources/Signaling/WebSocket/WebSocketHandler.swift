import NIOCore
import NIOWebSocket
import Primitives

/// One end of an open WebSocket (RFC 6455) over a channel, for servers and clients: whole text messages in and out.
///
/// What it holds the other side to: frames of a client are masked and those of a server are not (§5.1), no extension bits,
/// text only, UTF-8 (§8.1), fragments in order and not too many, messages within the bound, pings at a limited rate. Pings are
/// answered and sent; a side on which nothing comes for `silence` is dead. What waits to be written is counted, and whoever
/// does not read it is cut off.
///
///     open ── their close frame ──► echoed, flushed, closed
///       └──── ours, or an error ──► closing: theirs is awaited for `closeTime`, then closed
///
/// Unchecked: it belongs to its channel's event loop, where every method is called; asserted on the way in.
final class WebSocketHandler: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    enum Role { case server, client }

    /// What the other side did beyond what it may. The owner says so to it and closes.
    enum Excess: Hashable { case tooLarge, tooFast, tooSlow }

    struct Events {
        var opened: (WebSocketHandler) -> Void
        var received: (String) -> Void
        var exceeded: (Excess) -> Void
        /// Once, whatever ended it; with the close code the other side gave.
        var ended: (WebSocketErrorCode?) -> Void
    }

    private let role: Role
    private let limits: SignalingLimits
    private let events: Events
    private var context: ChannelHandlerContext?
    private var message: ByteBuffer?
    private var fragments = 0
    private var unwritten = 0
    private var isClosing = false
    private var hasEnded = false
    private var isCutOff = false
    private var closeCode: WebSocketErrorCode?
    private var lastHeard = NIODeadline.now()
    private var controls: RateLimit
    private var pings: RepeatedTask?

    init(role: Role, limits: SignalingLimits, events: Events) {
        self.role = role
        self.limits = limits
        self.events = events
        controls = RateLimit(burst: 50, perSecond: 10, at: NIODeadline.now().instant)
    }

    // MARK: Out

    /// Sends a text message, unless what waits already has outgrown its bound: then the peer is too slow.
    func send(_ text: String) {
        guard !isClosing, let context else { return }
        let count = text.utf8.count
        if unwritten + count > limits.waitingBytes, !isCutOff {
            isCutOff = true
            return events.exceeded(.tooSlow)
        }
        unwritten += count
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { [self] _ in unwritten -= count }
        write(.text, context.channel.allocator.buffer(string: text), promise: promise)
    }

    /// Says goodbye; the connection ends when the other side has said it too, or after a while.
    func close(_ code: WebSocketErrorCode) {
        guard !isClosing, let context else { return }
        isClosing = true
        var data = context.channel.allocator.buffer(capacity: 2)
        data.write(webSocketErrorCode: code)
        write(.connectionClose, data, promise: nil)
        context.eventLoop.scheduleTask(in: limits.closeTime.amount) { [self] in cut() }
    }

    /// Ends the connection without a word.
    func cut() { context?.close(mode: .all, promise: nil) }

    private func write(_ opcode: WebSocketOpcode, _ data: ByteBuffer, promise: EventLoopPromise<Void>?) {
        guard let context else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let mask: WebSocketMaskingKey? = role == .client ? .random() : nil
        context.writeAndFlush(
            wrapOutboundOut(WebSocketFrame(fin: true, opcode: opcode, maskKey: mask, data: data)), promise: promise)
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lastHeard = .now()
        pings = context.eventLoop.scheduleRepeatedTask(
            initialDelay: limits.pingInterval.amount, delay: limits.pingInterval.amount
        ) { [self] _ in keepAlive() }
        events.opened(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }
    func channelInactive(context: ChannelHandlerContext) { end() }

    /// A WebSocket has no half: a side that will say nothing more, not even a close frame, is gone.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { return context.close(mode: .all, promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastHeard = .now()
        let frame = unwrapInboundIn(data)
        guard (frame.maskKey != nil) == (role == .server), !frame.rsv1, !frame.rsv2, !frame.rsv3 else {
            return close(.protocolError)
        }
        switch frame.opcode {
        case .connectionClose: receiveClose(frame)
        case .ping:
            guard allowControl() else { return }
            if !isClosing { write(.pong, frame.unmaskedData, promise: nil) }
        case .pong: _ = allowControl()
        case .text, .binary, .continuation: receive(frame)
        default: close(.protocolError)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case NIOWebSocketError.invalidFrameLength: exceed(.tooLarge)
        case is NIOWebSocketError: close(.protocolError)
        // What follows a frame that was refused is thrown away, until our close frame has been read: closing with bytes
        // unread would reset the connection, and the reason would be lost on its way.
        case is ByteToMessageDecoderError where isClosing: break
        default: context.close(mode: .all, promise: nil)
        }
    }

    // MARK: In

    private func receive(_ frame: WebSocketFrame) {
        guard !isClosing else { return }
        guard (frame.opcode == .continuation) == (message != nil) else { return close(.protocolError) }
        guard frame.opcode != .binary else { return close(.unacceptableData) }
        var whole = message ?? ByteBuffer()
        message = nil
        fragments += 1
        guard whole.readableBytes + frame.data.readableBytes <= limits.messageBytes, fragments <= limits.fragments
        else {
            return exceed(.tooLarge)
        }
        var data = frame.unmaskedData
        if whole.readableBytes == 0, frame.fin { whole = data } else { whole.writeBuffer(&data) }
        guard frame.fin else {
            message = whole
            return
        }
        fragments = 0
        guard let text = String(validating: whole.readableBytesView, as: UTF8.self) else {
            return close(.dataInconsistentWithMessage)
        }
        events.received(text)
    }

    private func exceed(_ excess: Excess) {
        guard !isClosing else { return }
        message = nil
        events.exceeded(excess)
    }

    private func allowControl() -> Bool {
        if controls.take(at: NIODeadline.now().instant) { return true }
        exceed(.tooFast)
        return false
    }

    private func receiveClose(_ frame: WebSocketFrame) {
        var data = frame.unmaskedData
        let length = data.readableBytes
        let code = data.readWebSocketErrorCode()
        closeCode = code
        if !isClosing {
            isClosing = true
            // A code of one byte, or one that is never sent (§7.4.1), is an error.
            let isValid = length == 0 || (code.map(mayBeSent) ?? false)
            var answer = ByteBuffer()
            if let code, isValid { answer.write(webSocketErrorCode: code) }
            if !isValid { answer.write(webSocketErrorCode: .protocolError) }
            write(.connectionClose, answer, promise: nil)
        }
        context?.close(mode: .all, promise: nil)
    }

    private func mayBeSent(_ code: WebSocketErrorCode) -> Bool {
        switch UInt16(webSocketErrorCode: code) {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    private func keepAlive() {
        guard let context else { return }
        if NIODeadline.now() - lastHeard > limits.silence.amount { return context.close(mode: .all, promise: nil) }
        if !isClosing { write(.ping, ByteBuffer(), promise: nil) }
    }

    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        isClosing = true
        context = nil
        pings?.cancel()
        events.ended(closeCode)
    }
}

extension TimeDelta {
    var amount: TimeAmount { .nanoseconds(nanoseconds) }
}

extension NIODeadline {
    var instant: Instant { Instant(nanoseconds: Int64(clamping: uptimeNanoseconds)) }
}
