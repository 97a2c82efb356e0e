"""Debian's coturn in a namespace of the lab, as a user would set it up."""
import asyncio
import os
import shutil

from LabTests.isolation import die_with_parent
from LabTests.runner import Skip
from LabTests.topology import INSIDE, STUN_PORT

USER, PASSWORD = "alice", "murmur-0815"


class Coturn:
    """A `turnserver` on 3478, UDP and TCP, with one long-term user. `kill` and `start` are a crash and a new process."""

    def __init__(self, namespace, folder, relay_ports=(49152, 49252), arguments=()):
        self.namespace, self.folder = namespace, folder
        self.relay_ports, self.arguments = relay_ports, list(arguments)
        self.process, self.lives = None, 0
        os.makedirs(folder, exist_ok=True)
        self.password_file = os.path.join(folder, "password")
        with open(self.password_file, "w") as file:
            file.write(PASSWORD + "\n")

    def _file(self, name):
        return os.path.join(self.folder, f"{name}-{self.lives}")

    async def start(self):
        self.lives += 1
        address = INSIDE["server"]
        command = ["turnserver", "-n", f"--listening-ip={address}", f"--relay-ip={address}", "-p", str(STUN_PORT),
                   "--realm=example.org", "--lt-cred-mech", f"--user={USER}:{PASSWORD}", "--no-tls", "--no-dtls", "--no-cli",
                   "--simple-log", "-v", f"--log-file={self._file('log')}", f"--pidfile={self._file('pid')}",
                   f"--userdb={self._file('users')}", f"--min-port={self.relay_ports[0]}",
                   f"--max-port={self.relay_ports[1]}", *self.arguments]
        self.process = await asyncio.create_subprocess_exec(
            *self.namespace.command(*command), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, preexec_fn=die_with_parent)
        for _ in range(200):
            if self.process.returncode is not None:
                break
            sockets = self.namespace.run("cat", "/proc/net/udp")
            if any(line.split()[1].endswith(f":{STUN_PORT:04X}") for line in sockets.splitlines()[1:]):
                return self
            await asyncio.sleep(0.05)
        raise RuntimeError("turnserver did not listen: " + " | ".join(self.log().splitlines()[-3:]))

    async def kill(self):
        """SIGKILL: it frees nothing and tells nobody."""
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    stop = kill

    def log(self):
        """Of all its lives."""
        text = ""
        for life in range(1, self.lives + 1):
            try:
                with open(os.path.join(self.folder, f"log-{life}"), errors="replace") as file:
                    text += file.read()
            except OSError:
                pass
        return text

    def count(self, words):
        return self.log().count(words)

    @property
    def allocations(self):
        return self.count("ALLOCATE processed, success")

    @property
    def freed(self):
        """Allocations that ended because a client said so, not for want of a refresh."""
        return self.count("delete: realm=<example.org>")

    async def wait_freed(self, count, limit=5.0):
        """It writes its log when it has time."""
        for _ in range(int(limit / 0.1)):
            if self.freed >= count:
                return True
            await asyncio.sleep(0.1)
        return False


async def coturn(context, bench, **options):
    """One beside the peer inside, ended with the bench."""
    if not shutil.which("turnserver"):
        raise Skip("no turnserver; apt-get install coturn")
    server = await Coturn(bench.spaces["server"], os.path.join(context.folder, "coturn"), **options).start()
    bench.closing.append(server.stop)
    return server


def client(server, url, policy="relay"):
    """A Postern that uses the server: its arguments."""
    return ["--ice-server", url, "--turn-user", USER, "--turn-password-file", server.password_file, "--ice-policy", policy]


def browser_configuration(url, policy="relay"):
    """A browser that uses the server: its RTCConfiguration."""
    return {"iceServers": [{"urls": url, "username": USER, "credential": PASSWORD}], "iceTransportPolicy": policy}
