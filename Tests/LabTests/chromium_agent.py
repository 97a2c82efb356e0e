"""Chromium in a namespace, with one page a call: drives Tests/InteropTests' browser peer."""
import asyncio
import json
import os
import sys
import time

from LabTests import websocket
from LabTests.agent import configuration, say

websocket.stand_in()
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "InteropTests"))

from LabTests.room_agent import Room  # noqa: E402
from browser_peer import BrowserPeer  # noqa: E402
from chromium_peer import Chromium  # noqa: E402


class Page(BrowserPeer):
    """Tells the lab of its candidates and states at once."""

    def __init__(self, browser, name, options):
        super().__init__(browser, options)
        self.name = name

    room = None

    def told(self, message):
        say({"page": self.name, "at": time.monotonic(), **message})
        if self.room and message["kind"] == "candidate":
            self.room.post({"type": "candidate", **(message["candidate"] or {"candidate": None})})

    async def take(self, message):
        """A message of the room."""
        kind = message["type"]
        if kind in ("joined", "peer-joined"):
            if message.get("offers") and (kind == "peer-joined" or message.get("peers")) and not message.get("resumed"):
                self.room.post({"type": "offer", "sdp": await self.offer()})
        elif kind == "offer":
            self.room.post({"type": "answer", "sdp": await self.answer(message["sdp"])})
            say({"page": self.name, "at": time.monotonic(), "kind": "described"})
        elif kind == "answer":
            await self.take_answer(message["sdp"])
            say({"page": self.name, "at": time.monotonic(), "kind": "described"})
        elif kind == "candidate":
            await self.add_candidate(message)
        elif kind in ("error", "bye", "peer-left"):
            say({"page": self.name, "at": time.monotonic(), "kind": "room", "message": message})


class Phone:
    def __init__(self, settings):
        self.browser = Chromium(settings["folder"], settings.get("flags", []), settings.get("grantsMedia", True))
        self.pages = {}

    async def start(self):
        await self.browser.start()
        return {"pid": self.browser.process.pid}

    async def open(self, page, options):
        self.pages[page] = Page(self.browser, page, options)
        await self.pages[page].start()

    async def call(self, page, name, arguments):
        value = await self.pages[page].call(name, *arguments)
        return {"value": value, "at": time.monotonic()}

    async def join(self, page, url):
        """Has the page's call made in a room; returns once it has a place."""
        self.pages[page].room = room = Room(url, self.pages[page].take)
        await room.enter()

    async def stats(self, page):
        return await self.pages[page].stats()

    async def close(self, page):
        peer = self.pages.pop(page)
        if peer.room:
            await peer.room.leave()
        await peer.close()

    async def shut(self):
        for page in list(self.pages):
            await self.close(page)
        await self.browser.stop()


async def main():
    phone = Phone(configuration())
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    working = set()

    async def answer(message):
        number, verb = message.pop("id"), message.pop("verb")
        try:
            result = True if verb == "ready" else await getattr(phone, verb)(**message)
            say({"id": number, "result": result})
        except Exception as error:
            say({"id": number, "error": f"{type(error).__name__}: {error}"})

    while line := await reader.readline():
        task = asyncio.create_task(answer(json.loads(line)))
        working.add(task)
        task.add_done_callback(working.discard)
    if phone.browser.__dict__.get("process"):
        await phone.shut()


if __name__ == "__main__":
    asyncio.run(main())
