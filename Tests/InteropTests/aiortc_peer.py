"""aiortc as the other side of a call."""
import asyncio
import math
import time

import aiortc
import av
import numpy
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack, VideoStreamTrack
from aiortc.sdp import candidate_from_sdp

VERSION = "aiortc " + aiortc.__version__


class Tone(MediaStreamTrack):
    """440 Hz, 48 kHz, 20 ms a frame."""
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.samples = 0
        self.start = None

    async def recv(self):
        from fractions import Fraction
        if self.start is None:
            self.start = time.monotonic()
        wait = self.start + self.samples / 48000 - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        phase = (numpy.arange(960) + self.samples) * (2 * math.pi * 440 / 48000)
        frame = av.AudioFrame.from_ndarray((numpy.sin(phase) * 8000).astype(numpy.int16).reshape(1, -1), "s16", "mono")
        frame.pts, frame.sample_rate, frame.time_base = self.samples, 48000, Fraction(1, 48000)
        self.samples += 960
        return frame


class Bars(VideoStreamTrack):
    """A moving bar on 640x480, 30 a second."""

    async def recv(self):
        pts, base = await self.next_timestamp()
        picture = numpy.full((480, 640, 3), 40, numpy.uint8)
        left = pts // 3000 * 4 % 600
        picture[:, left:left + 40] = (200, 120, 60)
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts, frame.time_base = pts, base
        return frame


class Sink:
    """Counts decoded frames and looks whether anything is in them."""

    def __init__(self, track):
        self.track, self.frames, self.energy, self.spread, self.size = track, 0, 0.0, 0.0, None
        self.first = self.last = None
        self.longest = 0.0
        self.previous = None
        self.changes = 0
        self.task = asyncio.create_task(self.run())

    async def run(self):
        try:
            while True:
                frame = await self.track.recv()
                now = time.monotonic()
                if self.last is not None:
                    self.longest = max(self.longest, now - self.last)
                self.first, self.last = self.first or now, now
                self.frames += 1
                if self.track.kind == "audio":
                    samples = frame.to_ndarray().astype(numpy.float64) / 32768
                    self.energy += float((samples ** 2).mean()) * frame.samples / frame.sample_rate
                elif self.frames % 10 == 1:
                    grey = frame.reformat(width=160, height=120, format="gray").to_ndarray().astype(numpy.int16)
                    self.spread, self.size = float(grey.std()), (frame.width, frame.height)
                    if self.previous is not None and numpy.abs(grey - self.previous).mean() > 0.1:
                        self.changes += 1
                    self.previous = grey
        except Exception:
            return


class AiortcPeer:
    name = "aiortc"

    def __init__(self, options):
        self.options = options
        self.connection = RTCPeerConnection()
        self.sinks = {}
        self.candidates = asyncio.Queue()
        self.closed_at = None
        self.connection.on("track", self._track)

    def _track(self, track):
        self.sinks[track.kind] = Sink(track)

    async def start(self):
        pass

    def _add_media(self, is_offer):
        sends = self.options.get("send", ("audio", "video"))
        for kind, make in (("audio", Tone), ("video", Bars)):
            if kind in sends:
                self.connection.addTrack(make())
            elif is_offer and kind in self.options.get("receive", ("audio", "video")):
                self.connection.addTransceiver(kind, direction="recvonly")

    async def offer(self):
        self._add_media(True)
        if self.options.get("data"):
            self.connection.createDataChannel("chat")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        self.candidates.put_nowait(None)
        return self.connection.localDescription.sdp

    async def answer(self, sdp):
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        self._add_media(False)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        self.candidates.put_nowait(None)
        return self.connection.localDescription.sdp

    async def take_answer(self, sdp):
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def add_candidate(self, message):
        text = message.get("candidate")
        if not text:
            return
        candidate = candidate_from_sdp(text.removeprefix("candidate:"))
        candidate.sdpMid, candidate.sdpMLineIndex = message.get("sdpMid"), message.get("sdpMLineIndex")
        await self.connection.addIceCandidate(candidate)

    async def ask_keyframe(self):
        for transceiver in self.connection.getTransceivers():
            if transceiver.kind == "video":
                receiver = transceiver.receiver
                for ssrc in list(receiver._RTCRtpReceiver__remote_streams):
                    await receiver._send_rtcp_pli(ssrc)

    async def stats(self):
        video, audio = self.sinks.get("video"), self.sinks.get("audio")
        result = {
            "connection": self.connection.connectionState,
            "video_in": {"framesDecoded": video.frames if video else 0, "size": video.size if video else None,
                         "spread": video.spread if video else 0, "changes": video.changes if video else 0,
                         "longest": video.longest if video else None},
            "audio_in": {"energy": audio.energy if audio else 0.0, "frames": audio.frames if audio else 0},
            "video_out": {}, "audio_out": {}}
        for entry in (await self.connection.getStats()).values():
            if entry.type == "outbound-rtp":
                result[entry.kind + "_out"] = {"packetsSent": entry.packetsSent}
            if entry.type == "inbound-rtp":
                result[entry.kind + "_in"]["packetsLost"] = entry.packetsLost
        return result

    async def close(self):
        await self.connection.close()
        for sink in self.sinks.values():
            sink.task.cancel()
