"""Headless Chromium, driven over DevTools."""
import asyncio
import json
import os
import shutil
import subprocess

import websockets

from browser_peer import PageServer


class Chromium:
    """One Chromium with its own profile, driven over DevTools."""
    name = "chromium"

    def __init__(self, folder, flags=(), grants_media=True):
        self.folder, self.grants_media = folder, grants_media
        # With the permission granted the page may know its addresses; without, its candidates are mDNS names.
        self.flags = list(flags) + ["--use-fake-device-for-media-stream"] + (
            ["--use-fake-ui-for-media-stream"] if grants_media else [])
        self.sessions = {}
        self.pending = {}
        self.number = 0

    @staticmethod
    def binary():
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
            if path := shutil.which(name):
                return path
        return None

    @staticmethod
    def version():
        text = subprocess.run([Chromium.binary(), "--version"], capture_output=True, text=True, timeout=30).stdout
        return " ".join(text.split()[:2])

    async def start(self):
        profile = os.path.join(self.folder, "profile")
        shutil.rmtree(profile, ignore_errors=True)
        os.makedirs(profile)
        self.server = PageServer()
        await self.server.start()
        self.log = open(os.path.join(self.folder, "chromium.log"), "w")
        self.process = await asyncio.create_subprocess_exec(
            self.binary(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--user-data-dir=" + profile, "--remote-debugging-port=0", "--remote-allow-origins=*",
            "--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--disable-extensions", "--mute-audio",
            "--autoplay-policy=no-user-gesture-required", "--disable-background-timer-throttling",
            "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
            *self.flags, "about:blank",
            stdout=self.log, stderr=self.log)
        path = os.path.join(profile, "DevToolsActivePort")
        for _ in range(300):
            if os.path.exists(path) and len(open(path).read().split()) == 2:
                break
            if self.process.returncode is not None:
                raise RuntimeError("chromium ended at once; see " + self.log.name)
            await asyncio.sleep(0.1)
        port, place = open(path).read().split()
        self.socket = await websockets.connect(f"ws://127.0.0.1:{port}{place}", max_size=1 << 26)
        self.reader = asyncio.create_task(self._read())

    async def _read(self):
        async for text in self.socket:
            message = json.loads(text)
            if "id" in message:
                future = self.pending.pop(message["id"], None)
                if future and not future.done():
                    future.set_result(message)
            elif message.get("method") == "Runtime.bindingCalled":
                page = self.sessions.get(message.get("sessionId"))
                if page:
                    page.told(json.loads(message["params"]["payload"]))
            elif page := self.sessions.get(message.get("sessionId")):
                if hasattr(page, "console"):
                    page.told(message)

    async def command(self, method, parameters=None, session=None, timeout=30):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        future = self.pending[self.number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps(message))
        answer = await asyncio.wait_for(future, timeout)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    async def open(self, peer):
        target = (await self.command("Target.createTarget", {"url": self.server.url}))["targetId"]
        session = (await self.command("Target.attachToTarget", {"targetId": target, "flatten": True}))["sessionId"]
        peer.handle = (target, session)
        self.sessions[session] = peer
        await self.command("Runtime.enable", session=session)
        await self.command("Runtime.addBinding", {"name": "tell"}, session=session)

    async def evaluate(self, peer, expression):
        answer = await self.command(
            "Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True},
            session=peer.handle[1])
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details.get("text")))
        return answer["result"].get("value")

    async def shut(self, peer):
        target, session = peer.handle
        await self.command("Target.closeTarget", {"targetId": target})
        self.sessions.pop(session, None)

    async def stop(self):
        try:
            await self.command("Browser.close", timeout=5)
        except Exception:
            pass
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        self.reader.cancel()
        self.server.stop()
        self.log.close()
