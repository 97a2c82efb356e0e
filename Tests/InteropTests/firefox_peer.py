"""Headless Firefox, driven over WebDriver BiDi."""
import asyncio
import json
import os
import shutil
import socket
import subprocess

import websockets

from browser_peer import PageServer


class Firefox:
    """One Firefox with its own profile."""
    name = "firefox"

    def __init__(self, folder, grants_media=True):
        self.folder, self.grants_media = folder, grants_media
        self.pending, self.peers, self.number = {}, {}, 0

    @staticmethod
    def binary():
        return shutil.which("firefox-esr") or shutil.which("firefox")

    @staticmethod
    def version():
        text = subprocess.run([Firefox.binary(), "--version"], capture_output=True, text=True, timeout=60).stdout
        return " ".join(text.replace("Mozilla ", "").split()[:2])

    async def start(self):
        profile = os.path.join(self.folder, "profile")
        shutil.rmtree(profile, ignore_errors=True)
        os.makedirs(profile)
        preferences = {
            "media.navigator.streams.fake": True, "media.navigator.permission.disabled": self.grants_media,
            "media.autoplay.default": 0, "media.autoplay.blocking_policy": 0,
            "media.autoplay.block-webaudio": False,
            "media.peerconnection.ice.obfuscate_host_addresses": True, "media.gmp-manager.updateEnabled": False,
            "app.update.enabled": False, "datareporting.policy.dataSubmissionEnabled": False,
            "browser.shell.checkDefaultBrowser": False, "media.cubeb.sandbox": False}
        with open(os.path.join(profile, "user.js"), "w") as file:
            for name, value in preferences.items():
                file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        self.server = PageServer()
        await self.server.start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.log = open(os.path.join(self.folder, "firefox.log"), "w")
        self.process = await asyncio.create_subprocess_exec(
            self.binary(), "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", str(port),
            "about:blank", stdout=self.log, stderr=self.log, env=dict(os.environ, HOME=self.folder))
        for attempt in range(150):
            try:
                self.socket = await websockets.connect(f"ws://127.0.0.1:{port}/session", max_size=1 << 26)
                break
            except (OSError, websockets.exceptions.WebSocketException):
                if self.process.returncode is not None or attempt == 149:
                    raise RuntimeError("firefox did not start; see " + self.log.name)
                await asyncio.sleep(0.2)
        self.reader = asyncio.create_task(self._read())
        await self.command("session.new", {"capabilities": {}})
        await self.command("session.subscribe", {"events": ["script.message"]})

    async def _read(self):
        async for text in self.socket:
            message = json.loads(text)
            if "id" in message and message["id"] is not None:
                future = self.pending.pop(message["id"], None)
                if future and not future.done():
                    future.set_result(message)
            elif message.get("method") == "script.message":
                parameters = message["params"]
                peer = self.peers.get(parameters["source"].get("context"))
                if peer:
                    peer.told(json.loads(parameters["data"]["value"]))

    async def command(self, method, parameters=None, timeout=40):
        self.number += 1
        future = self.pending[self.number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters or {}}))
        answer = await asyncio.wait_for(future, timeout)
        if answer.get("type") == "error":
            raise RuntimeError(f"{method}: {answer.get('message')}")
        return answer["result"]

    async def open(self, peer):
        context = (await self.command("browsingContext.create", {"type": "tab"}))["context"]
        peer.handle = context
        self.peers[context] = peer
        await self.command(
            "browsingContext.navigate", {"context": context, "url": self.server.url, "wait": "complete"})
        await self.command("script.callFunction", {
            "functionDeclaration": "tell => { window.tell = tell; }", "target": {"context": context},
            "arguments": [{"type": "channel", "value": {"channel": "tell"}}], "awaitPromise": False})

    async def evaluate(self, peer, expression):
        answer = await self.command("script.evaluate", {
            "expression": f"(async () => JSON.stringify(await ({expression})))()", "target": {"context": peer.handle},
            "awaitPromise": True, "userActivation": True})
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)

    async def shut(self, peer):
        self.peers.pop(peer.handle, None)
        await self.command("browsingContext.close", {"context": peer.handle})

    async def stop(self):
        try:
            await self.command("browser.close", timeout=5)
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
