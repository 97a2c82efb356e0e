"""`postern serve` and `postern call ws://…` as child processes."""
import asyncio
import json
import os
import socket
import ssl
import urllib.request


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Program:
    """A child process with what it said on standard error."""

    def __init__(self, folder, name):
        self.folder, self.name, self.process = folder, name, None

    async def launch(self, command, environment=None):
        with open(os.path.join(self.folder, self.name + ".command"), "w") as file:
            file.write(" ".join(command) + "\n")
        self.error_path = os.path.join(self.folder, self.name + ".stderr")
        self.errors = open(self.error_path, "w")
        self.process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
            env=dict(os.environ, **(environment or {})))

    def said(self):
        with open(self.error_path, errors="replace") as file:
            return file.read()

    async def stop(self, timeout=8.0):
        """SIGTERM, then SIGKILL. The exit code."""
        if self.process is None:
            return None
        if self.process.returncode is None:
            self.process.terminate()
        return await self.ended(timeout)

    async def ended(self, timeout):
        try:
            await asyncio.wait_for(self.process.wait(), timeout)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        self.errors.close()
        return self.process.returncode


class Server(Program):
    """`postern serve`, ready when it answers /healthz."""

    def __init__(self, binary, folder, *arguments, host="127.0.0.1", name="serve", port=None, token=None):
        super().__init__(folder, name)
        self.binary, self.arguments, self.host, self.token = binary, list(arguments), host, token
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.port = port or free_port(family, host)
        self.place = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.is_secure = any(one.startswith("--tls") for one in arguments)
        self.url = f"http{'s' * self.is_secure}://{self.place}"
        self.rooms = f"ws{'s' * self.is_secure}://{self.place}/room/"

    async def start(self):
        await self.launch([self.binary, "serve", "--listen", self.place] + self.arguments,
                          {"POSTERN_TOKEN": self.token} if self.token else None)
        for _ in range(100):
            if self.process.returncode is not None:
                raise RuntimeError("postern serve ended at once: " + self.said()[-400:])
            try:
                await asyncio.get_running_loop().run_in_executor(None, self.get, "/healthz")
                return self
            except OSError:
                await asyncio.sleep(0.1)
        raise RuntimeError("postern serve does not answer /healthz: " + self.said()[-400:])

    def get(self, path):
        context = ssl._create_unverified_context() if self.is_secure else None
        with urllib.request.urlopen(self.url + path, timeout=2, context=context) as answer:
            return answer.read().decode()


class RoomCall(Program):
    """`postern call ws://…/room/NAME`."""

    def __init__(self, binary, folder, server, room, *arguments, seconds=20, name="call", record="out.webm", send="test"):
        super().__init__(folder, name)
        self.binary, self.server, self.room, self.seconds = binary, server, room, seconds
        self.record_path = os.path.join(folder, record)
        self.report_path = os.path.join(folder, name + ".report.json")
        self.events_path = os.path.join(folder, name + ".events.ndjson")
        self.arguments = ["--send", send, "--record", self.record_path, "--duration", str(seconds), "--wait-for-peer", "30",
                          "--report", self.report_path, "--events", self.events_path] + list(arguments)

    async def start(self):
        await self.launch([self.binary, "call", self.server.rooms + self.room] + self.arguments,
                          {"POSTERN_TOKEN": self.server.token} if self.server.token else None)
        return self

    def report(self):
        try:
            with open(self.report_path) as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def events(self):
        try:
            with open(self.events_path) as file:
                return [json.loads(line) for line in file if line.strip()]
        except (OSError, ValueError):
            return []
