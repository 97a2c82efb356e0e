"""A page of a browser as the other side of a call: what Chromium and Firefox have in common."""
import asyncio
import json

PAGE = r"""<!doctype html><title>peer</title><body><script>
'use strict';
const emit = value => window.tell(JSON.stringify(value));
window.peer = {
  async start(options) {
    this.options = options;
    this.sinks = [];
    const pc = this.pc = new RTCPeerConnection(options.configuration || {});
    pc.onicecandidate = e => emit({kind: 'candidate', candidate: e.candidate ? e.candidate.toJSON() : null});
    pc.onconnectionstatechange = () => emit({kind: 'state', state: pc.connectionState});
    pc.ontrack = e => {
      const element = document.createElement(e.track.kind === 'video' ? 'video' : 'audio');
      element.autoplay = true; element.playsInline = true;
      element.srcObject = new MediaStream([e.track]);
      document.body.append(element); element.play().catch(() => {});
      this.sinks.push(element);
    };
    this.stream = await this.media(options.media || 'device', options.send || []);
  },
  async media(source, kinds) {
    if (!kinds.length) return new MediaStream();
    if (source === 'device')
      return navigator.mediaDevices.getUserMedia({
        audio: kinds.includes('audio') ? (this.options.audioConstraints || {echoCancellation: false, noiseSuppression: false, autoGainControl: false}) : false,
        video: kinds.includes('video') ? {width: 640, height: 480, frameRate: 30} : false});
    const stream = new MediaStream();
    if (kinds.includes('audio')) {
      const context = this.context = new AudioContext({sampleRate: 48000});
      await context.resume();
      const tone = context.createOscillator(), to = context.createMediaStreamDestination();
      tone.frequency.value = 440; tone.connect(to); tone.start();
      stream.addTrack(to.stream.getAudioTracks()[0]);
    }
    if (kinds.includes('video')) {
      const canvas = document.createElement('canvas'); canvas.width = 640; canvas.height = 480;
      const pen = canvas.getContext('2d'); let n = 0;
      setInterval(() => { pen.fillStyle = '#333'; pen.fillRect(0, 0, 640, 480);
        pen.fillStyle = '#c83'; pen.fillRect(n++ * 4 % 600, 0, 40, 480); }, 33);
      stream.addTrack(canvas.captureStream(30).getVideoTracks()[0]);
    }
    return stream;
  },
  add(isOffer) {
    const receive = this.options.receive || ['audio', 'video'];
    for (const kind of ['audio', 'video']) {
      const track = this.stream.getTracks().find(t => t.kind === kind);
      if (track && kind === 'video' && this.options.simulcast && isOffer)
        this.pc.addTransceiver(track, {direction: 'sendrecv', streams: [this.stream], sendEncodings: [
          {rid: 'q', scaleResolutionDownBy: 4}, {rid: 'h', scaleResolutionDownBy: 2}, {rid: 'f'}]});
      else if (track && isOffer && !receive.includes(kind)) this.pc.addTransceiver(track, {direction: 'sendonly', streams: [this.stream]});
      else if (track) this.pc.addTrack(track, this.stream);
      else if (isOffer && receive.includes(kind)) this.pc.addTransceiver(kind, {direction: 'recvonly'});
    }
    if (isOffer && this.options.extraVideo) this.pc.addTransceiver('video', {direction: 'recvonly'});
    if (isOffer && this.options.data) this.channel = this.pc.createDataChannel('chat');
    if (this.options.preferences) for (const t of this.pc.getTransceivers()) {
      const wanted = this.options.preferences[t.receiver.track.kind];
      if (!wanted) continue;
      const all = RTCRtpReceiver.getCapabilities(t.receiver.track.kind).codecs;
      t.setCodecPreferences(all.filter(c => wanted.includes(c.mimeType)));
    }
  },
  munged(sdp) {
    for (const [from, to] of this.options.munge || []) sdp = sdp.replace(new RegExp(from, 'g'), to);
    return sdp;
  },
  async offer(options) {
    if (!this.added) this.add(true);
    this.added = true;
    const offer = await this.pc.createOffer(options || {});
    offer.sdp = this.munged(offer.sdp);
    await this.pc.setLocalDescription(offer);
    return this.pc.localDescription.sdp;
  },
  async answer(sdp) {
    await this.pc.setRemoteDescription({type: 'offer', sdp});
    if (!this.added) this.add(false);
    this.added = true;
    const answer = await this.pc.createAnswer();
    answer.sdp = this.munged(answer.sdp);
    await this.pc.setLocalDescription(answer);
    return this.pc.localDescription.sdp;
  },
  async takeAnswer(sdp) { await this.pc.setRemoteDescription({type: 'answer', sdp}); return true; },
  async addCandidate(c) {
    try { await this.pc.addIceCandidate(c && c.candidate ? c : null); return null; } catch (e) { return String(e); }
  },
  async stats() {
    const all = [];
    (await this.pc.getStats()).forEach(s => all.push(s));
    return {connection: this.pc.connectionState, ice: this.pc.iceConnectionState, all,
      video: this.sinks.filter(s => s.videoWidth).map(s => [s.videoWidth, s.videoHeight, s.getVideoPlaybackQuality().totalVideoFrames])};
  },
  // How much of the remote picture there is: standard deviation of the grey values.
  picture() {
    const video = this.sinks.find(s => s.videoWidth);
    if (!video) return 0;
    const canvas = document.createElement('canvas'); canvas.width = 160; canvas.height = 120;
    const pen = canvas.getContext('2d'); pen.drawImage(video, 0, 0, 160, 120);
    const data = pen.getImageData(0, 0, 160, 120).data; let sum = 0, square = 0;
    for (let i = 0; i < data.length; i += 4) { const g = data[i + 1]; sum += g; square += g * g; }
    const n = data.length / 4;
    return Math.sqrt(Math.max(0, square / n - (sum / n) ** 2));
  },
  dtmf(tones) { this.pc.getSenders().find(s => s.dtmf).dtmf.insertDTMF(tones, 200, 100); return true; },
  setDirection(kind, direction) { this.pc.getTransceivers().find(t => t.receiver.track.kind === kind).direction = direction; return true; },
  close() { this.pc.close(); return true; },
};
</script>"""


class BrowserPeer:
    """One page of a browser; `browser` is a `Chromium` or a `Firefox`."""

    def __init__(self, browser, options):
        self.browser, self.options = browser, options
        self.candidates = asyncio.Queue()
        self.states = []
        self.candidate_errors = []

    async def start(self):
        await self.browser.open(self)
        for _ in range(100):
            if await self.evaluate("typeof window.peer") == "object":
                break
            await asyncio.sleep(0.05)
        options = dict(self.options)
        options.setdefault("send", ["audio", "video"])
        await self.call("start", options)

    def told(self, message):
        if message["kind"] == "candidate":
            self.candidates.put_nowait(message["candidate"])
        else:
            self.states.append(message["state"])

    async def evaluate(self, expression):
        return await self.browser.evaluate(self, expression)

    async def call(self, name, *arguments):
        return await self.evaluate(f"window.peer.{name}({', '.join(json.dumps(a) for a in arguments)})")

    async def offer(self, **options):
        return await self.call("offer", options)

    async def answer(self, sdp):
        return await self.call("answer", sdp)

    async def take_answer(self, sdp):
        await self.call("takeAnswer", sdp)

    async def add_candidate(self, message):
        error = await self.call("addCandidate", message)
        if error:
            self.candidate_errors.append(error)

    async def stats(self):
        raw = await self.call("stats")
        entries = raw["all"]
        by_id = {entry["id"]: entry for entry in entries}

        def first(kind, media=None):
            found = [e for e in entries if e["type"] == kind and (media is None or e.get("kind") == media)]
            return max(found, key=lambda e: e.get("bytesReceived", e.get("bytesSent", 0)), default={})

        transport = first("transport")
        pair = by_id.get(transport.get("selectedCandidatePairId"), {})
        video, audio = dict(first("inbound-rtp", "video")), dict(first("inbound-rtp", "audio"))
        video["spread"] = await self.call("picture")
        video["size"] = (video.get("frameWidth"), video.get("frameHeight"))
        audio["energy"] = audio.get("totalAudioEnergy", 0)
        return {"connection": raw["connection"], "video_in": video, "audio_in": audio,
                "video_out": first("outbound-rtp", "video"), "audio_out": first("outbound-rtp", "audio"),
                "all_video_out": [e for e in entries if e["type"] == "outbound-rtp" and e.get("kind") == "video"],
                "remote_video": first("remote-inbound-rtp", "video"), "transport": transport, "pair": pair,
                "local": by_id.get(pair.get("localCandidateId"), {}),
                "remote": by_id.get(pair.get("remoteCandidateId"), {}), "all": entries}

    async def close(self):
        try:
            await self.call("close")
            await self.browser.shut(self)
        except Exception:
            pass


class PageServer:
    """The page on 127.0.0.1: a secure context, as getUserMedia demands."""

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "http://127.0.0.1:%d/" % self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return writer.close()
        body = PAGE.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                     % len(body) + body)
        await writer.drain()
        writer.close()

    def stop(self):
        self.server.close()
