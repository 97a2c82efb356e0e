"""A small WebSocket client (RFC 6455), so that the lab needs nothing but Python's own library.

It has the few names of the `websockets` package that the driver of Chromium uses, and stands in for it (`stand_in`).
"""
import asyncio
import base64
import os
import struct
import sys
import types
import urllib.parse


class Closed(Exception):
    pass


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, text, opcode=1):
        data = text.encode() if isinstance(text, str) else text
        mask = os.urandom(4)
        if len(data) < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(data))
        elif len(data) < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data))
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(data))
        stream = int.from_bytes(data, "big") ^ int.from_bytes((mask * (len(data) // 4 + 1))[:len(data)], "big")
        self.writer.write(head + mask + stream.to_bytes(len(data), "big"))
        await self.writer.drain()

    async def receive(self):
        """The next text message; `Closed` at the end."""
        text = b""
        while True:
            try:
                first, second = await self.reader.readexactly(2)
                size = second & 127
                if size > 125:
                    size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
                data = await self.reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise Closed("connection lost") from error
            opcode = first & 15
            if opcode == 8:
                raise Closed(f"closed: {int.from_bytes(data[:2], 'big')} {data[2:].decode(errors='replace')}")
            if opcode == 9:
                await self.send(data, opcode=10)
            elif opcode < 3:
                text += data
                if first & 0x80:
                    return text.decode()

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.receive()
        except Closed:
            raise StopAsyncIteration from None

    async def close(self):
        try:
            await self.send(b"\x03\xe8", opcode=8)
        except (ConnectionError, OSError):
            pass
        self.writer.close()


async def connect(url, max_size=None):
    parts = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=max_size or 1 << 20)
    key = base64.b64encode(os.urandom(16)).decode()
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    writer.write((f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise Closed("no answer to the handshake") from error
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise Closed(head.split(b"\r\n")[0].decode(errors="replace"))
    return Connection(reader, writer)


def stand_in():
    """Makes `import websockets` give this module's client."""
    module = types.ModuleType("websockets")
    module.connect = connect
    sys.modules["websockets"] = module
