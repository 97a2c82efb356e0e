"""One call between postern and a foreign peer, with everything that is measured of it."""
import asyncio
import json
import os
import time

import recording
from postern import Postern


class Call:
    def __init__(self, binary, folder, peer, offerer, arguments=None, relay=None, during=None, seconds=10,
                 filter_candidates=None, rewrite=None, candidate_delay=0):
        self.peer, self.offerer, self.relay, self.during, self.seconds = peer, offerer, relay, during, seconds
        self.folder = folder
        self.record_path = os.path.join(folder, "out.webm")
        if arguments is None:
            arguments = ["--send", "test", "--record", self.record_path, "--duration", str(seconds)]
        arguments = [a.replace("{out}", folder) for a in arguments]
        if "--record" in arguments:
            self.record_path = arguments[arguments.index("--record") + 1]
        self.postern = Postern(binary, folder, "offer" if offerer == "postern" else "answer", arguments)
        self.filter_candidates = filter_candidates
        self.candidate_delay = candidate_delay
        self.decoded = 0
        self.rewrite = rewrite or (lambda origin, sdp: sdp)
        self.snapshots = []
        self.checks = []
        self.exit_code = None
        self.offer = self.answer = None

    # -- signalling

    def _filtered(self, receiver, sdp):
        if not self.filter_candidates:
            return sdp
        return "\r\n".join(line for line in sdp.replace("\r\n", "\n").split("\n") if not line.startswith(
            "a=candidate:") or self.filter_candidates(receiver, line.removeprefix("a=")))

    def _to_postern(self, sdp):
        sdp = self._filtered("postern", self.rewrite("foreign", sdp))
        return self.relay.rewritten("postern", sdp) if self.relay else sdp

    def _to_peer(self, sdp):
        sdp = self._filtered("foreign", self.rewrite("postern", sdp))
        return self.relay.rewritten("foreign", sdp) if self.relay else sdp

    def _relayed(self, receiver, message):
        """A trickled candidate as `receiver` gets it; None where it does not."""
        if not message or not message.get("candidate"):
            return message or {"candidate": None}
        if self.filter_candidates and not self.filter_candidates(receiver, message["candidate"]):
            return None
        if not self.relay:
            return message
        text = self.relay.candidate_for(receiver, message["candidate"])
        return dict(message, candidate=text) if text else None

    async def _pump_out(self):
        await asyncio.sleep(self.candidate_delay)
        while (message := await self.postern.messages.get()) is not None:
            if "candidate" in message and (message := self._relayed("foreign", message)):
                await self.peer.add_candidate(message)

    async def _pump_in(self):
        await asyncio.sleep(self.candidate_delay)
        while True:
            message = self._relayed("postern", await self.peer.candidates.get())
            if message:
                self.postern.send(message)

    async def renegotiate(self, **options):
        """The foreign side offers anew; postern answers."""
        self.pumps[0].cancel()
        self.postern.send({"type": "offer", "sdp": self._to_postern(await self.peer.offer(**options))})
        answer = await self.postern.description()
        await self.peer.take_answer(self._to_peer(answer["sdp"]))
        self.pumps[0] = asyncio.create_task(self._pump_out())
        return answer["sdp"]

    # -- the call

    async def run(self):
        if self.relay:
            await self.relay.start()
        await self.peer.start()
        await self.postern.start()
        try:
            if self.offerer == "postern":
                self.offer = (await self.postern.description())["sdp"]
                self.answer = await self.peer.answer(self._to_peer(self.offer))
                self.postern.send({"type": "answer", "sdp": self._to_postern(self.answer)})
            else:
                self.offer = await self.peer.offer()
                self.postern.send({"type": "offer", "sdp": self._to_postern(self.offer)})
                self.answer = (await self.postern.description())["sdp"]
                await self.peer.take_answer(self._to_peer(self.answer))
            for name, text in (("offer.sdp", self.offer), ("answer.sdp", self.answer)):
                with open(os.path.join(self.folder, name), "w") as file:
                    file.write(text)
            self.pumps = [asyncio.create_task(self._pump_out()), asyncio.create_task(self._pump_in())]
            await self._watch()
        finally:
            for pump in getattr(self, "pumps", []):
                pump.cancel()
            self.exit_code = await self.postern.end(5)
            await self.peer.close()
            if self.relay:
                self.relay.stop()
        return self

    async def _watch(self):
        start = time.monotonic()
        side_task = None
        connected = None
        while self.postern.process.returncode is None:
            try:
                snapshot = await asyncio.wait_for(self.peer.stats(), 10)
            except Exception:
                if self.postern.process.returncode is None:
                    raise
                break
            now = time.monotonic()
            if snapshot["connection"] == "connected":
                if connected is None:
                    connected = now
                    if self.during:
                        side_task = asyncio.create_task(self.during(self))
                snapshot["t"] = now - connected
                # Firefox counts anew after each negotiation.
                frames = snapshot["video_in"].get("framesDecoded") or 0
                before = self.snapshots[-1]["video_in"].get("framesDecoded") or 0 if self.snapshots else 0
                self.decoded += frames - before if frames >= before else frames
                self.snapshots.append(snapshot)
                with open(os.path.join(self.folder, "stats.ndjson"), "a") as file:
                    file.write(json.dumps(snapshot) + "\n")
            if now - start > self.seconds + 25:
                break
            if connected and now - connected > self.seconds + 8:
                break
            try:
                await asyncio.wait_for(self.postern.process.wait(), 0.5)
            except asyncio.TimeoutError:
                pass
        if side_task:
            if not side_task.done():
                await asyncio.wait([side_task], timeout=3)
            if side_task.done() and not side_task.cancelled() and side_task.exception():
                raise side_task.exception()
            side_task.cancel()

    # -- what came of it

    @property
    def last(self):
        return self.snapshots[-1] if self.snapshots else {
            "video_in": {}, "audio_in": {}, "video_out": {}, "audio_out": {}, "transport": {}, "pair": {}, "local": {},
            "remote": {}, "remote_video": {}, "all_video_out": []}

    def check(self, what, held, figure=""):
        self.checks.append((what, bool(held), str(figure)))
        return held

    def check_exit(self, code=0):
        self.check("exit", self.exit_code == code, f"exit {self.exit_code}" + (
            "" if self.exit_code == code else ": " + " | ".join(self.postern.errors[-3:])))

    def check_foreign_video(self, minimum_rate=0.8, rate=30):
        video = self.last["video_in"]
        frames = self.decoded
        wanted = self.seconds * rate * minimum_rate
        self.check("foreign decodes video", frames >= wanted and video.get("spread", 0) > 5,
                   f"{frames} frames {video.get('size')}")

    def check_foreign_audio(self):
        energy = self.last["audio_in"].get("energy") or 0
        self.check("foreign hears", energy > 0.001, f"energy {energy:.3f}")

    def check_recording(self, kinds=("audio", "video"), gap=0.4, seconds=None, decode=True):
        seconds = seconds or self.seconds
        try:
            tracks = recording.probe(self.record_path)
        except Exception as error:
            return self.check("recording", False, error)
        for kind in kinds:
            track = tracks.get(kind)
            if not track or not track["packets"]:
                self.check(f"{kind} recorded", False, "no track")
                continue
            length = track["end"] - track["start"]
            self.check(f"{kind} recorded", seconds - 1.5 <= length <= seconds + 2.5 and track["gap"] <= gap,
                       f"{track['codec']} {length:.1f} s, step {track['gap'] * 1000:.0f} ms")
        if decode:
            errors = recording.decoding_errors(self.record_path)
            self.check("plays", not errors, errors[:1] or "")
            if "audio" in kinds:
                level = recording.loudness(self.record_path)
                self.check("audible", level is not None and level > -50, f"{level} dB")
        return tracks

    def report_stats(self, kind, media=None):
        return [e for e in self.postern.report().get("stats", [])
                if e["type"] == kind and (media is None or e.get("kind") == media)]

    @property
    def passed(self):
        return bool(self.checks) and all(held for _, held, _ in self.checks)
