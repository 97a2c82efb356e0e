import NIOCore
import NIOEmbedded
import NIOWebSocket
import Primitives
import Testing

@testable import Signaling

/// What a WebSocket holds the other side to (RFC 6455), frame by frame.
@Suite struct WebSocketHandlerTests {
    private final class Record {
        var received: [String] = []
        var exceeded: [WebSocketHandler.Excess] = []
        var ends = 0
    }

    private struct End {
        let channel = EmbeddedChannel()
        let record = Record()
        let handler: WebSocketHandler

        init(_ role: WebSocketHandler.Role = .server, limits: SignalingLimits = SignalingLimits()) throws {
            let record = record
            handler = WebSocketHandler(
                role: role, limits: limits,
                events: .init(
                    opened: { _ in }, received: { record.received.append($0) },
                    exceeded: { record.exceeded.append($0) }, ended: { _ in record.ends += 1 }))
            try channel.pipeline.syncOperations.addHandler(handler)
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func take(
            _ opcode: WebSocketOpcode, _ bytes: [UInt8] = [], fin: Bool = true, isMasked: Bool = true,
            rsv1: Bool = false
        ) throws {
            let mask: WebSocketMaskingKey? = isMasked ? [1, 2, 3, 4] : nil
            var data = ByteBuffer(bytes: bytes)
            if let mask { data.webSocketMask(mask) }
            try channel.writeInbound(WebSocketFrame(fin: fin, rsv1: rsv1, opcode: opcode, maskKey: mask, data: data))
        }

        func sent() throws -> WebSocketFrame? { try channel.readOutbound(as: WebSocketFrame.self) }

        func closeCode() throws -> WebSocketErrorCode? {
            while let frame = try sent() {
                guard frame.opcode == .connectionClose else { continue }
                // The mask is put over it further down.
                var data = frame.data
                return data.readWebSocketErrorCode()
            }
            return nil
        }
    }

    @Test func fragmentsAreJoined() throws {
        let end = try End()
        try end.take(.text, Array("{\"a".utf8), fin: false)
        try end.take(.ping, [7])
        try end.take(.continuation, Array("\":1".utf8), fin: false)
        try end.take(.continuation, Array("}".utf8))
        #expect(end.record.received == [#"{"a":1}"#])
        let pong = try #require(try end.sent())
        #expect(pong.opcode == .pong && Array(pong.data.readableBytesView) == [7] && pong.maskKey == nil)
    }

    /// A connection may end one way at a time (TCP FIN); half a WebSocket is none.
    @Test func aSideThatSaysNothingMoreIsGone() throws {
        let end = try End()
        end.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!end.channel.isActive && end.record.ends == 1)
    }

    /// Frames after one that was refused do not cost the reason its way.
    @Test func whatFollowsARefusedFrameIsThrownAway() throws {
        let end = try End()
        end.channel.pipeline.fireErrorCaught(NIOWebSocketError.invalidFrameLength)
        #expect(end.record.exceeded == [.tooLarge])
        end.handler.close(.messageTooLarge)
        let more = ByteToMessageDecoderError.dataReceivedInErrorState(
            NIOWebSocketError.invalidFrameLength, ByteBuffer(bytes: [1, 2, 3]))
        end.channel.pipeline.fireErrorCaught(more)
        #expect(end.channel.isActive && end.record.ends == 0)
        #expect(try end.closeCode() == .messageTooLarge)
        // Where nothing was refused, it is a broken connection.
        let other = try End()
        other.channel.pipeline.fireErrorCaught(more)
        #expect(!other.channel.isActive)
    }

    @Test func aClientMasksAndAServerDoesNot() throws {
        let server = try End(.server)
        try server.take(.text, Array("x".utf8), isMasked: false)
        #expect(try server.closeCode() == .protocolError && server.record.received.isEmpty)
        let client = try End(.client)
        try client.take(.text, Array("x".utf8), isMasked: true)
        #expect(try client.closeCode() == .protocolError && client.record.received.isEmpty)
        let right = try End(.client)
        try right.take(.text, Array("x".utf8), isMasked: false)
        right.handler.send("y")
        let frame = try #require(try right.sent())
        #expect(right.record.received == ["x"] && frame.maskKey != nil)
    }

    @Test func brokenFramesEndTheConnection() throws {
        for (break_, code) in [
            ({ try $0.take(.continuation, [1]) }, .protocolError),
            ({ try $0.take(.text, [65], rsv1: true) }, .protocolError),
            ({ try $0.take(WebSocketOpcode(encodedWebSocketOpcode: 3) ?? .binary, []) }, .protocolError),
            ({ try $0.take(.binary, [1]) }, .unacceptableData),
            ({ try $0.take(.text, [0xC3, 0x28]) }, .dataInconsistentWithMessage),
            (
                {
                    try $0.take(.text, [65], fin: false)
                    try $0.take(.text, [65])
                }, .protocolError
            ),
            ({ try $0.take(.connectionClose, [3]) }, .protocolError),
            ({ try $0.take(.connectionClose, [3, 0xED]) }, .protocolError),
        ] as [((End) throws -> Void, WebSocketErrorCode)] {
            let end = try End()
            try break_(end)
            #expect(try end.closeCode() == code)
            #expect(end.record.received.isEmpty)
        }
    }

    @Test func aCloseIsAnswered() throws {
        let end = try End()
        try end.take(.connectionClose, [0x03, 0xE9])
        #expect(try end.closeCode() == .goingAway)
        #expect(!end.channel.isActive && end.record.ends == 1)
    }

    @Test func messagesAndFragmentsAreBounded() throws {
        var limits = SignalingLimits()
        limits.messageBytes = 100
        limits.fragments = 8
        let end = try End(limits: limits)
        try end.take(.text, Array(repeating: 65, count: 60), fin: false)
        try end.take(.continuation, Array(repeating: 65, count: 40))
        #expect(end.record.received.count == 1)
        try end.take(.text, Array(repeating: 65, count: 60), fin: false)
        try end.take(.continuation, Array(repeating: 65, count: 41))
        #expect(end.record.exceeded == [.tooLarge] && end.record.received.count == 1)
        let cut = try End(limits: limits)
        try cut.take(.text, [], fin: false)
        for _ in 0..<8 { try cut.take(.continuation, [], fin: false) }
        #expect(cut.record.exceeded.first == .tooLarge)
    }

    @Test func pingsAreAnsweredAtALimitedRate() throws {
        let end = try End()
        for _ in 0..<60 { try end.take(.ping) }
        #expect(end.record.exceeded.first == .tooFast)
    }

    @Test func whoDoesNotReadIsCutOff() throws {
        var limits = SignalingLimits()
        limits.waitingBytes = 1_000
        let end = try End(limits: limits)
        let channel = EmbeddedChannel(handlers: [Stopper(), end.handler])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        for _ in 0..<10 { end.handler.send(String(repeating: "x", count: 100)) }
        #expect(end.record.exceeded.isEmpty)
        end.handler.send("x")
        end.handler.send("x")
        #expect(end.record.exceeded == [.tooSlow])
    }

    @Test func silenceEndsTheConnection() throws {
        var limits = SignalingLimits()
        limits.pingInterval = .milliseconds(20)
        limits.silence = .milliseconds(30)
        let end = try End(limits: limits)
        end.channel.embeddedEventLoop.advanceTime(by: .milliseconds(20))
        let ping = try #require(try end.sent())
        #expect(ping.opcode == .ping && end.channel.isActive)
    }

    /// A socket that takes nothing: what is written stays.
    private final class Stopper: ChannelOutboundHandler {
        typealias OutboundIn = WebSocketFrame
        private var kept: [EventLoopPromise<Void>?] = []
        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            kept.append(promise)
        }
        func handlerRemoved(context: ChannelHandlerContext) { for promise in kept { promise?.fail(ChannelError.eof) } }
    }
}
