"""GStreamer's webrtcbin as the other side of a call. It runs in the system's Python, which has its bindings; run as a
program this file is that side: JSON lines in and out."""
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading

SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = ("gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good", "gstreamer1.0-plugins-bad", "gstreamer1.0-nice",
            "python3-gi", "gir1.2-gst-plugins-bad-1.0")


def missing():
    if not shutil.which(SYSTEM_PYTHON):
        return "no " + SYSTEM_PYTHON
    check = subprocess.run([SYSTEM_PYTHON, __file__, "check"], capture_output=True, text=True, timeout=60)
    return None if check.returncode == 0 else (check.stderr.strip().splitlines() or ["?"])[-1] + "; apt-get install " + " ".join(PACKAGES)


def version():
    check = subprocess.run([SYSTEM_PYTHON, __file__, "check"], capture_output=True, text=True, timeout=60)
    return "webrtcbin " + check.stdout.strip()


class GStreamerPeer:
    """The process, with the methods `call.Call` wants of a peer."""

    def __init__(self, folder, options=None):
        self.folder, self.options = folder, options or {}
        self.candidates, self.answers, self.number = asyncio.Queue(), {}, 0

    async def start(self):
        self.log = open(os.path.join(self.folder, "gstreamer.log"), "w")
        self.process = await asyncio.create_subprocess_exec(
            SYSTEM_PYTHON, __file__, "run", json.dumps(self.options), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=self.log, limit=1 << 20)
        self.reader = asyncio.create_task(self._read())

    async def _read(self):
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if "candidate" in message:
                self.candidates.put_nowait(message)
            elif future := self.answers.pop(message.get("id"), None):
                future.set_result(message.get("value"))
        for future in self.answers.values():
            future.set_exception(ConnectionError("GStreamer's process has ended"))
        self.answers = {}

    async def ask(self, what, value=None, timeout=15):
        if self.process.returncode is not None or self.process.stdin.is_closing():
            raise ConnectionError("GStreamer's process has ended")
        self.number += 1
        future = self.answers[self.number] = asyncio.get_running_loop().create_future()
        self.process.stdin.write((json.dumps({"id": self.number, "ask": what, "value": value}) + "\n").encode())
        await self.process.stdin.drain()
        return await asyncio.wait_for(future, timeout)

    async def offer(self, **_):
        return await self.ask("offer")

    async def answer(self, sdp):
        return await self.ask("answer", sdp)

    async def take_answer(self, sdp):
        await self.ask("takeAnswer", sdp)

    async def add_candidate(self, message):
        if message.get("candidate"):
            await self.ask("candidate", message)

    async def stats(self):
        try:
            found = await self.ask("stats")
        except ConnectionError:
            found = {"connection": "closed", "frames": 0, "spread": 0, "size": None, "energy": 0}
        empty = {key: {} for key in ("video_out", "audio_out", "transport", "pair", "local", "remote", "remote_video")}
        return dict(empty, connection=found["connection"], all_video_out=[],
                    video_in={"framesDecoded": found["frames"], "spread": found["spread"], "size": found["size"]},
                    audio_in={"energy": found["energy"]})

    async def close(self):
        if self.process.returncode is None:
            self.process.stdin.close()
            try:
                await asyncio.wait_for(self.process.wait(), 5)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
        self.reader.cancel()
        self.log.close()


def main():
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstWebRTC", "1.0")
    gi.require_version("GstSdp", "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC
    Gst.init(None)
    for name in ("webrtcbin", "nicesrc", "vp8enc", "opusenc", "dtlsdec", "srtpdec"):
        if not Gst.ElementFactory.find(name):
            sys.exit(f"GStreamer has no {name}")
    if sys.argv[1] == "check":
        print(".".join(str(part) for part in Gst.version()[:3]))
        return
    options = json.loads(sys.argv[2])
    sources = {
        "audio": "audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt={0} ! "
                 "application/x-rtp,media=audio,encoding-name=OPUS,payload={0} ! peer. ",
        "video": "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=480,framerate=30/1 ! vp8enc deadline=1 "
                 "keyframe-max-dist=60 target-bitrate=800000 ! rtpvp8pay pt={0} picture-id-mode=15-bit ! "
                 "application/x-rtp,media=video,encoding-name=VP8,payload={0} ! peer. "}
    pipeline = peer = None
    is_ready = threading.Event()
    found = {"frames": 0, "energy": 0.0, "spread": 0.0, "size": None}

    lock = threading.Lock()

    def tell(message):
        # Candidates come from webrtcbin's thread: lines must not mix.
        with lock:
            print(json.dumps(message), flush=True)

    def video_frame(sink):
        sample = sink.emit("pull-sample")
        found["frames"] += 1
        caps = sample.get_caps().get_structure(0)
        found["size"] = [caps.get_value("width"), caps.get_value("height")]
        if found["frames"] % 15 == 1:
            held, data = sample.get_buffer().map(Gst.MapFlags.READ)
            if held:
                grey = data.data[:found["size"][0] * found["size"][1]:97]
                mean = sum(grey) / len(grey)
                found["spread"] = (sum((value - mean) ** 2 for value in grey) / len(grey)) ** 0.5
                sample.get_buffer().unmap(data)
        return Gst.FlowReturn.OK

    def audio_samples(sink):
        held, data = (buffer := sink.emit("pull-sample").get_buffer()).map(Gst.MapFlags.READ)
        if held:
            values = memoryview(data.data).cast("h")
            found["energy"] += sum((value / 32768) ** 2 for value in values) / 48000
            buffer.unmap(data)
        return Gst.FlowReturn.OK

    def pad_added(_, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        caps = pad.get_current_caps() or pad.query_caps(None)
        kind = caps.get_structure(0).get_string("media")
        text = ("rtpvp8depay ! vp8dec ! videoconvert ! video/x-raw,format=I420 ! appsink name=sink emit-signals=true sync=false"
                if kind == "video" else
                "rtpopusdepay ! opusdec ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! appsink name=sink "
                "emit-signals=true sync=false")
        bin_ = Gst.parse_bin_from_description(text, True)
        bin_.get_by_name("sink").connect("new-sample", video_frame if kind == "video" else audio_samples)
        pipeline.add(bin_)
        bin_.sync_state_with_parent()
        pad.link(bin_.get_static_pad("sink"))

    def description(kind, text):
        _, message = GstSdp.SDPMessage.new_from_text(text)
        return GstWebRTC.WebRTCSessionDescription.new(kind, message)

    def wait(signal, *arguments):
        """The reply of an action; GLib's loop runs in its own thread."""
        promise = Gst.Promise.new()
        peer.emit(signal, *arguments, promise)
        promise.wait()
        return promise.get_reply()

    def made(kind):
        reply = wait("create-" + kind, None)
        value = reply.get_value(kind)
        wait("set-local-description", value)
        return value.sdp.as_text()

    def build(numbers):
        """The pipeline, with the payload types the offer has."""
        nonlocal pipeline, peer
        pipeline = Gst.parse_launch("webrtcbin name=peer bundle-policy=max-bundle " + "".join(
            sources[kind].format(number) for kind, number in numbers.items()))
        peer = pipeline.get_by_name("peer")
        peer.connect("pad-added", pad_added)
        peer.connect("on-negotiation-needed", lambda _: is_ready.set())
        peer.connect("on-ice-candidate", lambda _, index, text: tell({"candidate": text, "sdpMLineIndex": index}))
        pipeline.set_state(Gst.State.PLAYING)
        is_ready.wait(5)

    def handle(what, value):
        sends = options.get("send", ["audio", "video"])
        if what == "offer":
            build({kind: {"audio": 96, "video": 97}[kind] for kind in sends})
            return made("offer")
        if what == "answer":
            numbers = {kind: re.search(r"a=rtpmap:(\d+) " + codec, value, re.I) for kind, codec in (("audio", "opus"), ("video", "VP8"))}
            build({kind: number.group(1) for kind, number in numbers.items() if number and kind in sends})
            wait("set-remote-description", description(GstWebRTC.WebRTCSDPType.OFFER, value))
            return made("answer")
        if what == "takeAnswer":
            wait("set-remote-description", description(GstWebRTC.WebRTCSDPType.ANSWER, value))
        if what == "candidate":
            peer.emit("add-ice-candidate", value.get("sdpMLineIndex") or 0, value["candidate"])
        if what == "stats":
            return dict(found, connection=peer.get_property("connection-state").value_nick if peer else "new")
        return None

    loop = GLib.MainLoop()
    threading.Thread(target=loop.run, daemon=True).start()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            tell({"id": request["id"], "value": handle(request["ask"], request["value"])})
        except Exception as error:
            print(error, file=sys.stderr)
            tell({"id": request["id"], "value": None})
    if pipeline:
        pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
