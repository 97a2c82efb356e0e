"""The two ends of a call, Postern and Chromium, behind one set of names.

A peer has `offer`, `answer`, `take_answer`, `add_candidate` and the queue `candidates` for the signalling; `connected_at`
(monotonic seconds, None before), `stats`, `freeze`, `thaw` and `close` for the rest.
"""
import asyncio
import json
import os
import signal

from LabTests.agent import Agent
from LabTests.isolation import die_with_parent

POSTERN_ARGUMENTS = ["--send", "test", "--video-size", "320x240", "--fps", "15", "--video-bitrate", "300k"]


class PosternPeer:
    """A `postern call` whose signalling the lab carries."""
    name = "postern"

    def __init__(self, binary, namespace, folder, arguments=(), where=None, sends=True, records=True):
        self.binary, self.namespace, self.folder, self.arguments = binary, namespace, folder, list(arguments)
        self.where, self.sends, self.records = where, sends, records
        os.makedirs(folder, exist_ok=True)
        self.report_path, self.events_path = (os.path.join(folder, n) for n in ("report.json", "events.ndjson"))
        self.record_path = os.path.join(folder, "recorded.webm")
        self.candidates, self.descriptions = asyncio.Queue(), asyncio.Queue()
        self.errors, self.events, self.process = [], [], None
        self.started_at = None
        self.states = []

    async def enter(self, url):
        """Starts the call in a room; the first thing it does there is its own to do."""
        self.where = url
        await self.start(False)

    @property
    def described_at(self):
        return self.milestone("bothDescriptionsKnown")

    async def start(self, offers):
        where = self.where or ("stdio:offer" if offers else "stdio:answer")
        command = [self.binary, "call", where, "--report", self.report_path, "--events", self.events_path]
        command += self.arguments
        if self.records:
            command += ["--record", self.record_path]
        if self.sends:
            command += POSTERN_ARGUMENTS
        with open(os.path.join(self.folder, "command"), "w") as file:
            file.write(" ".join(command) + "\n")
        self.process = await asyncio.create_subprocess_exec(
            *self.namespace.command(*command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, limit=1 << 20, preexec_fn=die_with_parent)
        self.tasks = [asyncio.create_task(t) for t in (self._read(), self._read_errors(), self._follow())]

    async def _read(self):
        with open(os.path.join(self.folder, "signalling.ndjson"), "a") as log:
            while line := await self.process.stdout.readline():
                log.write("> " + line.decode())
                log.flush()
                try:
                    message = json.loads(line)
                except ValueError:
                    continue
                if message.get("type") in ("offer", "answer"):
                    self.descriptions.put_nowait(message)
                elif "candidate" in message:
                    self.candidates.put_nowait(message)
        self.descriptions.put_nowait(None)

    async def _read_errors(self):
        with open(os.path.join(self.folder, "stderr"), "w") as log:
            while line := await self.process.stderr.readline():
                text = line.decode(errors="replace").rstrip()
                log.write(text + "\n")
                log.flush()
                self.errors.append(text)

    async def _follow(self):
        """Reads the events as they come. Its clock begins with the run: the earliest sight of an event tells where."""
        loop, place, rest = asyncio.get_running_loop(), 0, b""
        while True:
            ended = self.process.returncode is not None
            if os.path.exists(self.events_path):
                with open(self.events_path, "rb") as file:
                    file.seek(place)
                    data = file.read()
                place += len(data)
                *lines, rest = (rest + data).split(b"\n")
                now = loop.time()
                for line in lines:
                    event = json.loads(line)
                    self.events.append(event)
                    if isinstance(event.get("ms"), (int, float)):
                        started = now - event["ms"] / 1000
                        self.started_at = started if self.started_at is None else min(started, self.started_at)
            if ended:
                return
            await asyncio.sleep(0.02)

    def times(self, **wanted):
        """When events with these members came, in monotonic seconds."""
        return [self.started_at + e["ms"] / 1000 for e in self.events
                if all(e.get(k) == v for k, v in wanted.items())]

    def milestone(self, name):
        return next(iter(self.times(event="milestone", value=name)), None)

    @property
    def connected_at(self):
        return self.milestone("dtlsConnected")

    @property
    def selected_at(self):
        return self.milestone("pairSelected")

    def send(self, message):
        line = json.dumps(message)
        with open(os.path.join(self.folder, "signalling.ndjson"), "a") as log:
            log.write("< " + line + "\n")
        if not self.process.stdin.is_closing():
            try:
                self.process.stdin.write(line.encode() + b"\n")
            except ConnectionError:
                pass

    async def description(self, timeout=20):
        message = await asyncio.wait_for(self.descriptions.get(), timeout)
        if message is None:
            await asyncio.sleep(0.2)
            raise RuntimeError("postern ended without a description: " + " | ".join(self.errors[-3:]))
        return message["sdp"]

    async def offer(self):
        return await self.description()

    async def answer(self, sdp):
        self.send({"type": "offer", "sdp": sdp})
        return await self.description()

    async def take_answer(self, sdp):
        self.send({"type": "answer", "sdp": sdp})

    async def add_candidate(self, message):
        self.send(message)

    async def stats(self):
        """Before its end a Postern tells of itself by its events only."""
        return {}

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    async def close(self):
        """Hangs up and waits for the report. The exit code."""
        if self.process is None:
            return None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
                self.errors.append("lab: postern did not end within 10 s of SIGINT and was killed")
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return self.process.returncode

    def report(self):
        try:
            with open(self.report_path) as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def received(self, kind):
        """Frames of one kind that came out of the call."""
        return ((self.report().get(kind) or {}).get("framesReceived")) or 0


class Browser:
    """One Chromium in a namespace; `page` gives its peers."""

    def __init__(self, namespace, folder, grants_media=True, flags=()):
        self.namespace, self.folder = namespace, folder
        self.grants_media, self.flags = grants_media, list(flags)
        self.pages = {}
        self.awake = asyncio.Event()
        self.awake.set()
        os.makedirs(folder, exist_ok=True)

    async def start(self):
        self.agent = await Agent.start(
            self.namespace, "chromium_agent", {"folder": self.folder, "grantsMedia": self.grants_media,
                                               "flags": self.flags},
            os.path.join(self.folder, "agent.log"), self._told)
        self.pid = (await self.agent.ask("start", timeout=60))["pid"]
        return self

    def _told(self, message):
        if page := self.pages.get(message.get("page")):
            page.told(message)

    def page(self, name="call", **options):
        page = self.pages[name] = ChromiumPeer(self, name, options)
        return page

    async def stop(self):
        self.signal(signal.SIGCONT)
        await self.agent.stop()

    def signal(self, number):
        """Sends a signal to the browser with all its processes."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as file:
                        parent = int(file.read().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
                children.setdefault(parent, []).append(int(entry))
        waiting = [self.pid]
        while waiting:
            process = waiting.pop()
            waiting += children.get(process, [])
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass


class ChromiumPeer:
    """A page of `Browser`."""
    name = "chromium"

    def __init__(self, browser, page, options):
        self.browser, self.page = browser, page
        self.options = {"media": "device" if browser.grants_media else "canvas", **options}
        self.candidates, self.states = asyncio.Queue(), []
        self.described_at, self.room_messages = None, []

    async def start(self, offers):
        await self.browser.agent.ask("open", page=self.page, options=self.options, timeout=40)

    async def enter(self, url):
        """Opens the page and takes a place in a room."""
        await self.start(False)
        await self.browser.agent.ask("join", page=self.page, url=url)

    def told(self, message):
        if message["kind"] == "candidate":
            self.candidates.put_nowait(message["candidate"] or {"candidate": None})
        elif message["kind"] == "described":
            self.described_at = message["at"]
        elif message["kind"] == "room":
            self.room_messages.append(message["message"])
        else:
            self.states.append((message["at"], message["state"]))

    @property
    def connected_at(self):
        return next((at for at, state in self.states if state == "connected"), None)

    @property
    def state(self):
        return self.states[-1][1] if self.states else "new"

    async def _call(self, name, *arguments):
        # What is said to a phone that sleeps waits on the network until it wakes.
        await self.browser.awake.wait()
        return (await self.browser.agent.ask("call", page=self.page, name=name, arguments=list(arguments)))["value"]

    async def offer(self, **options):
        return await self._call("offer", options)

    async def answer(self, sdp):
        return await self._call("answer", sdp)

    async def take_answer(self, sdp):
        await self._call("takeAnswer", sdp)

    async def add_candidate(self, message):
        await self._call("addCandidate", message)

    async def stats(self):
        return await self.browser.agent.ask("stats", page=self.page)

    def freeze(self):
        self.browser.awake.clear()
        self.browser.signal(signal.SIGSTOP)

    def thaw(self):
        self.browser.signal(signal.SIGCONT)
        self.browser.awake.set()

    async def close(self):
        try:
            self.thaw()
            await self.browser.agent.ask("close", page=self.page, timeout=15)
        except (RuntimeError, asyncio.TimeoutError):
            pass
        self.browser.pages.pop(self.page, None)


class Server:
    """`postern serve` in a namespace. `answers`: it is the other side of every room."""

    def __init__(self, binary, namespace, folder, arguments=(), answers=False):
        self.binary, self.namespace, self.folder = binary, namespace, folder
        self.recordings = os.path.join(folder, "calls")
        os.makedirs(self.recordings, exist_ok=True)
        self.arguments = ["--listen", "0.0.0.0:8099", "--open", *arguments]
        if answers:
            self.arguments += ["--answer", "test", *POSTERN_ARGUMENTS[2:], "--record", self.recordings]

    async def start(self):
        command = [self.binary, "serve", *self.arguments]
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.log.write((" ".join(command) + "\n").encode())
        self.log.flush()
        self.process = await asyncio.create_subprocess_exec(
            *self.namespace.command(*command), stdin=asyncio.subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=die_with_parent)
        for _ in range(100):
            if self.process.returncode is not None:
                break
            probe = self.namespace.run("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6")
            if any(line.split()[1].endswith(":1FA3") and line.split()[3] == "0A" for line in probe.splitlines()[1:]
                   if ":" in line.split()[1]):
                return self
            await asyncio.sleep(0.1)
        raise RuntimeError("postern serve did not listen: " + self.words())

    def words(self):
        with open(os.path.join(self.folder, "log")) as file:
            return " | ".join(file.read().splitlines()[-3:])

    async def stop(self):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(self.process.wait(), 15)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
        self.log.close()

    def reports(self):
        """Of its answered calls, in order of their file names."""
        found = []
        for name in sorted(os.listdir(self.recordings)):
            if name.endswith(".json"):
                with open(os.path.join(self.recordings, name)) as file:
                    found.append(json.load(file))
        return found
