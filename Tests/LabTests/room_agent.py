"""Places in rooms of `postern serve` (Docs/signaling.md): one that takes its place up again when its connection breaks, and
as a program of its own a crowd of them."""
import asyncio
import json
import sys

from LabTests import websocket
from LabTests.agent import configuration, say


class Room:
    def __init__(self, url, take):
        self.url, self.take = url, take
        self.session, self.connection, self.has_left = None, None, False
        self.waiting, self.resumptions, self.error = [], 0, None

    async def enter(self):
        await self._connect()
        self.reader = asyncio.create_task(self._read())

    async def _connect(self):
        connection = await asyncio.wait_for(websocket.connect(self.url), 5)
        await connection.send(json.dumps({"type": "join", **({"session": self.session} if self.session else {})}))
        message = json.loads(await asyncio.wait_for(connection.receive(), 5))
        if message["type"] != "joined":
            raise websocket.Closed(json.dumps(message))
        self.session = message["session"]
        self.connection = connection
        waiting, self.waiting = self.waiting, []
        for text in waiting:
            await connection.send(text)
        asyncio.create_task(self.take(message))

    async def _read(self):
        while not self.has_left:
            try:
                message = json.loads(await self.connection.receive())
            except (websocket.Closed, OSError):
                if not self.has_left and not await self._resume():
                    return
                continue
            asyncio.create_task(self.take(message))

    async def _resume(self):
        self.connection = None
        for attempt in range(20):
            try:
                await self._connect()
                self.resumptions += 1
                return True
            except (websocket.Closed, OSError, asyncio.TimeoutError) as error:
                self.error = str(error)
                await asyncio.sleep(0.2 + 0.1 * attempt)
        return False

    def post(self, message):
        text = json.dumps(message)
        if self.connection:
            asyncio.create_task(self._send(text))
        else:
            self.waiting.append(text)

    async def _send(self, text):
        try:
            await self.connection.send(text)
        except (AttributeError, ConnectionError, OSError):
            self.waiting.append(text)

    async def leave(self):
        self.has_left = True
        if self.connection:
            try:
                await self.connection.send(json.dumps({"type": "bye"}))
                await self.connection.send(json.dumps({"type": "leave"}))
                await self.connection.close()
            except (ConnectionError, OSError):
                pass
        if task := self.__dict__.get("reader"):
            task.cancel()


class Crowd:
    """Many places from one address, two a room, talking to each other now and then."""

    def __init__(self):
        self.rooms, self.heard = [], 0

    async def enter(self, url, count):
        refused = []

        async def take(message):
            self.heard += message["type"] == "candidate"
        for number in range(count):
            room = Room(f"{url}/room/crowd{number // 2}", take)
            try:
                await room.enter()
                self.rooms.append(room)
            except (websocket.Closed, OSError, asyncio.TimeoutError) as error:
                refused.append(str(error))
        return {"in": len(self.rooms), "refused": refused[:3]}

    async def calls(self, url, offers):
        """Takes places in as many rooms and makes these offers there; the answers."""
        loop = asyncio.get_running_loop()
        answers = [loop.create_future() for _ in offers]

        def taker(number):
            async def take(message):
                if message["type"] == "answer" and not answers[number].done():
                    answers[number].set_result(message["sdp"])
            return take
        for number, offer in enumerate(offers):
            room = Room(f"{url}/room/phone{number}", taker(number))
            await room.enter()
            self.rooms.append(room)
            room.post({"type": "offer", "sdp": offer})
        await asyncio.wait(answers, timeout=15)
        return [answer.result() if answer.done() else None for answer in answers]

    async def talk(self):
        """Everybody says something to the other; how many heard it."""
        self.heard = 0
        for room in self.rooms:
            room.post({"type": "candidate", "candidate": "candidate:1 1 udp 1 203.0.113.99 9 typ host", "sdpMid": "0"})
        await asyncio.sleep(2)
        return {"heard": self.heard, "resumed": sum(room.resumptions for room in self.rooms)}


async def main():
    configuration()
    crowd = Crowd()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        message = json.loads(line)
        number, verb = message.pop("id"), message.pop("verb")
        try:
            say({"id": number, "result": True if verb == "ready" else await getattr(crowd, verb)(**message)})
        except Exception as error:
            say({"id": number, "error": f"{type(error).__name__}: {error}"})
    for room in crowd.rooms:
        await room.leave()


if __name__ == "__main__":
    asyncio.run(main())
