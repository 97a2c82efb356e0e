"""Runs `postern call stdio:…` as a child process and talks JSON lines with it."""
import asyncio
import json
import os


class Postern:
    """One `postern call stdio:offer|answer`. Messages it writes are in `messages`; None there means the output ended."""

    def __init__(self, binary, folder, role, arguments):
        self.binary, self.folder, self.role, self.arguments = binary, folder, role, arguments
        self.report_path = os.path.join(folder, "report.json")
        self.events_path = os.path.join(folder, "events.ndjson")
        self.messages = asyncio.Queue()
        self.errors = []
        self.process = None

    async def start(self):
        command = [self.binary, "call", "stdio:" + self.role, "--report", self.report_path,
                   "--events", self.events_path] + self.arguments
        environment = dict(os.environ, SSLKEYLOGFILE=os.path.join(self.folder, "keys.log"))
        self.process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=1 << 20, env=environment)
        with open(os.path.join(self.folder, "command"), "w") as file:
            file.write(" ".join(command) + "\n")
        self.tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._read_errors())]

    async def _read(self):
        with open(os.path.join(self.folder, "signalling.ndjson"), "a") as log:
            while line := await self.process.stdout.readline():
                log.write("> " + line.decode())
                await self.messages.put(json.loads(line))
        await self.messages.put(None)

    async def _read_errors(self):
        with open(os.path.join(self.folder, "stderr"), "w") as log:
            while line := await self.process.stderr.readline():
                text = line.decode(errors="replace").rstrip()
                log.write(text + "\n")
                self.errors.append(text)

    def send(self, message):
        line = json.dumps(message)
        with open(os.path.join(self.folder, "signalling.ndjson"), "a") as log:
            log.write("< " + line + "\n")
        if not self.process.stdin.is_closing():
            try:
                self.process.stdin.write(line.encode() + b"\n")
            except ConnectionError:
                pass

    async def description(self, timeout=15):
        """The first offer or answer it writes. Candidates before it stay for `messages`."""
        early = []
        while True:
            message = await asyncio.wait_for(self.messages.get(), timeout)
            if message is None:
                raise RuntimeError("postern ended without a description: " + " | ".join(self.errors[-3:]))
            if message.get("type") in ("offer", "answer"):
                for kept in early:
                    self.messages.put_nowait(kept)
                return message
            early.append(message)

    async def end(self, timeout):
        """Waits for the process; a signal after `timeout`. The exit code."""
        try:
            await asyncio.wait_for(self.process.wait(), timeout)
        except asyncio.TimeoutError:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 8)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return self.process.returncode

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
