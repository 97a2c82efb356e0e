"""Programs that work inside a namespace for the lab, told what to do in JSON lines."""
import asyncio
import itertools
import json
import os
import sys

from LabTests.isolation import die_with_parent

_TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Agent:
    """The lab's end of one such program. All processes share the monotonic clock, so their times compare."""

    def __init__(self, process, told):
        self.process, self.told = process, told
        self.numbers, self.pending = itertools.count(1), {}
        self.reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, namespace, module, configuration, log, told=None):
        environment = dict(os.environ, PYTHONPATH=_TESTS, PYTHONUNBUFFERED="1")
        process = await asyncio.create_subprocess_exec(
            *namespace.command(sys.executable, "-m", "LabTests." + module, json.dumps(configuration)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=open(log, "ab"), env=environment,
            limit=1 << 24, preexec_fn=die_with_parent)
        agent = cls(process, told)
        await agent.ask("ready", timeout=30)
        return agent

    async def ask(self, verb, timeout=30, **arguments):
        """What the program answers; `RuntimeError` with its words where it could not."""
        number = next(self.numbers)
        future = self.pending[number] = asyncio.get_running_loop().create_future()
        try:
            self.process.stdin.write(json.dumps({"id": number, "verb": verb, **arguments}).encode() + b"\n")
            answer = await asyncio.wait_for(future, timeout)
        finally:
            self.pending.pop(number, None)
        if "error" in answer:
            raise RuntimeError(f"{verb}: {answer['error']}")
        return answer.get("result")

    async def _read(self):
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            future = self.pending.get(message.get("id"))
            if future and not future.done():
                future.set_result(message)
            elif "id" not in message and self.told:
                self.told(message)
        for future in self.pending.values():
            if not future.done():
                future.set_exception(RuntimeError("the agent ended"))

    async def stop(self):
        if not self.process.stdin.is_closing():
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 15)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        await asyncio.gather(self.reader, return_exceptions=True)


class Commands:
    """The other end, for programs that poll: reads what has come on standard input."""

    def __init__(self):
        self.descriptor = sys.stdin.fileno()
        os.set_blocking(self.descriptor, False)
        self.buffer = b""

    def handle(self, verbs):
        """Calls `verbs[verb](**arguments)` and answers with what it gives. False when the lab has gone."""
        try:
            data = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            number, verb = message.pop("id"), message.pop("verb")
            try:
                say({"id": number, "result": verbs[verb](**message) if verb != "ready" else True})
            except Exception as error:
                say({"id": number, "error": f"{type(error).__name__}: {error}"})
        return True


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def configuration():
    return json.loads(sys.argv[1])
