"""The page of `postern serve` in a tab of Chromium, as a person uses it: fields, buttons, what it shows."""
import asyncio
import json
import time
from urllib.parse import urlencode

# What the page's remote audio holds at telephone keys' frequencies, in dB: browsers tell nobody of digits, they play them.
LISTEN = r"""(() => {
  const context = new AudioContext(), analyser = context.createAnalyser();
  analyser.fftSize = 2048; analyser.smoothingTimeConstant = 0;
  context.createMediaStreamSource(postern.call.remote).connect(analyser);
  const rows = [697, 770, 852, 941], columns = [1209, 1336, 1477], keys = ['123', '456', '789', '*0#'], bins = new Float32Array(analyser.frequencyBinCount);
  const level = hertz => { const at = hertz * 2048 / context.sampleRate; return Math.max(bins[Math.floor(at)], bins[Math.ceil(at)]); };
  const loudest = list => { const levels = list.map(level), top = Math.max(...levels), at = levels.indexOf(top);
    return { at, top, lead: top - Math.max(...levels.filter((_, index) => index !== at)) }; };
  // A key that falters for a moment is still the same press.
  let last = '', lastAt = 0;
  window.heardDigits = '';
  setInterval(() => {
    analyser.getFloatFrequencyData(bins);
    const row = loudest(rows), column = loudest(columns), both = row.top > -60 && column.top > -60 && row.lead > 10 && column.lead > 10 && Math.abs(row.top - column.top) < 15;
    const key = both ? keys[row.at][column.at] : '';
    if (!key) return;
    if (key !== last || performance.now() - lastAt > 50) heardDigits += key;
    last = key; lastAt = performance.now();
  }, 15);
  return context.resume().then(() => context.state);
})()"""


class RoomPage:
    """One tab. `url` is the server's; the page is driven through its own fields and buttons."""

    def __init__(self, browser, url):
        self.browser, self.url = browser, url
        self.target = self.session = None
        self.console = []

    async def open(self, fragment=None, size=None, language=None, dark=None, query=""):
        """A fresh tab in a browser context of its own, so that tabs do not share what pages remember."""
        self.context = (await self.browser.command("Target.createBrowserContext"))["browserContextId"]
        await self.grant()
        self.target = (await self.browser.command(
            "Target.createTarget", {"url": "about:blank", "browserContextId": self.context}))["targetId"]
        self.session = (await self.browser.command(
            "Target.attachToTarget", {"targetId": self.target, "flatten": True}))["sessionId"]
        self.browser.sessions[self.session] = self
        await self.command("Runtime.enable")
        await self.command("Log.enable")
        await self.command("Page.enable")
        if size:
            width, height = size
            await self.command("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height, "deviceScaleFactor": 2 if width < 600 else 1, "mobile": width < 600})
        if language:
            agent = await self.evaluate("navigator.userAgent")
            await self.command("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language})
        if dark is not None:
            await self.command("Emulation.setEmulatedMedia", {
                "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        await self.go(fragment, query)

    async def grant(self):
        if self.browser.grants_media:
            await self.browser.command("Browser.grantPermissions", {
                "browserContextId": self.context, "permissions": ["audioCapture", "videoCapture"]})
        else:
            for name in ("camera", "microphone"):
                await self.browser.command("Browser.setPermission", {
                    "browserContextId": self.context, "permission": {"name": name}, "setting": "denied"})

    async def go(self, fragment=None, query=""):
        await self.command("Page.navigate", {
            "url": self.url + "/" + query + ("#" + urlencode(fragment) if fragment else "")})
        await self.until("window.postern && document.readyState === 'complete'", 10)

    async def command(self, method, parameters=None, timeout=30):
        return await self.browser.command(method, parameters, session=self.session, timeout=timeout)

    def told(self, event):
        """What the browser's console says of this page; `Chromium` calls it."""
        method, parameters = event["method"], event["params"]
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.console.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.console.append(str([a.get("value", a.get("description")) for a in parameters["args"]]))

    async def evaluate(self, expression):
        answer = await self.command("Runtime.evaluate", {
            "expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True})
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details.get("text")))
        return answer["result"].get("value")

    async def until(self, expression, timeout=10.0):
        """Waits for a true value of `expression` and gives it; None when it does not come."""
        end = time.monotonic() + timeout
        while True:
            try:
                if value := await self.evaluate(expression):
                    return value
            except RuntimeError:
                pass  # between two documents
            if time.monotonic() > end:
                return None
            await asyncio.sleep(0.05)

    async def click(self, name):
        await self.evaluate(f"document.getElementById({json.dumps(name)}).click()")

    async def choose(self, source):
        await self.evaluate(f"document.querySelector('[name=source][value={source}]').click()")

    async def join(self, room, source="both", token=None, name=None):
        await self.choose(source)
        fields = {"room": room, "token": token, "name": name}
        for field, value in fields.items():
            if value is not None:
                await self.evaluate(f"document.getElementById('{field}').value = {json.dumps(value)}")
        await self.click("join")

    async def connected(self, timeout=15):
        return await self.until("postern.phase === 'connected' && postern.pc.connectionState === 'connected'", timeout)

    async def stats(self):
        """W3C statistics by type, the largest of each kind."""
        entries = await self.evaluate("postern.pc ? postern.pc.getStats().then(all => [...all.values()]) : []")

        def first(kind, media=None):
            found = [e for e in entries if e["type"] == kind and (media is None or e.get("kind") == media)]
            return max(found, key=lambda e: e.get("bytesReceived", e.get("bytesSent", 0)), default={})
        by_id = {e["id"]: e for e in entries}
        transport = first("transport")
        pair = by_id.get(transport.get("selectedCandidatePairId"), {})
        return {"video_in": first("inbound-rtp", "video"), "audio_in": first("inbound-rtp", "audio"),
                "video_out": first("outbound-rtp", "video"), "audio_out": first("outbound-rtp", "audio"),
                "transport": transport, "pair": pair, "local": by_id.get(pair.get("localCandidateId"), {}),
                "remote": by_id.get(pair.get("remoteCandidateId"), {}), "all": entries}

    async def sentence(self):
        """The key of the sentence the page shows, on the start page or over the call."""
        return await self.evaluate("document.querySelector('#start:not([hidden]) .notice, #call:not([hidden]) .notice')?.dataset.key ?? null")

    async def log(self):
        return await self.evaluate("postern.everything()")

    async def picture(self):
        """How much there is to see in the remote picture: the standard deviation of its green."""
        # A headless tab composes nothing on its own: frames are looked at when they are presented, the first of which may be blank.
        await self.command("Page.bringToFront")
        return await self.evaluate(r"""new Promise(done => {
          const video = document.getElementById('remote');
          if (!video.videoWidth) return done(0);
          let most = 0, left = 6;
          const look = () => {
            const canvas = document.createElement('canvas'); canvas.width = 160; canvas.height = 120;
            const pen = canvas.getContext('2d'); pen.drawImage(video, 0, 0, 160, 120);
            const data = pen.getImageData(0, 0, 160, 120).data; let sum = 0, square = 0;
            for (let i = 0; i < data.length; i += 4) { sum += data[i + 1]; square += data[i + 1] ** 2; }
            most = Math.max(most, Math.sqrt(Math.max(0, square / (data.length / 4) - (sum / (data.length / 4)) ** 2)));
            if (most > 5 || --left === 0) done(most); else video.requestVideoFrameCallback(look);
          };
          video.requestVideoFrameCallback(look);
          setTimeout(() => done(most), 2000);
        })""")

    async def listen_for_digits(self):
        return await self.evaluate(LISTEN)

    async def reload(self):
        await self.command("Page.reload")
        await asyncio.sleep(0.2)
        await self.until("window.postern && document.readyState === 'complete'", 10)

    async def screenshot(self, path):
        import base64
        answer = await self.command("Page.captureScreenshot", {"format": "png"})
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    async def close(self):
        try:
            await self.browser.command("Target.closeTarget", {"targetId": self.target})
            await self.browser.command("Target.disposeBrowserContext", {"browserContextId": self.context})
        except Exception:
            pass
        self.browser.sessions.pop(self.session, None)
