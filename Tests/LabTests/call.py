"""One call through the pair: its signalling, carried (and where wanted rewritten) by the lab, and its measures."""
import asyncio
import time

from LabTests.topology import BACK, FRONT, FRONT6


class Rewriter:
    """What the candidates of one side look like when they come to the other.

    `inside`: "front" puts the front's address and the outside port into what the inside announces, "none" leaves it, "add"
    gives both. `phone`: "none", "hide" (nothing of the phone's comes in), "back" (the back host's address in its place). Without
    `ends` neither side is told that the other's candidates are complete.
    """

    def __init__(self, settings, inside_address, inside="front", phone="none", outside_port=None,
                 ends=True):
        self.ends = ends
        self.settings, self.inside_address, self.inside, self.phone = settings, inside_address, inside, phone
        self.outside_port = outside_port or (lambda port: port + settings.offset)

    def to_phone(self, line):
        """The candidate lines the phone gets for one of the inside's."""
        fields = line.split()
        if self.inside == "none" or len(fields) < 8:
            return [line]
        if fields[4] != self.inside_address or fields[2].lower() != "udp":
            return []
        published = ([FRONT] if self.settings.ipv6 != "only" else []) + ([FRONT6] if self.settings.ipv6 != "none" else [])
        lines = [" ".join([*fields[:4], address, str(self.outside_port(int(fields[5]))), *fields[6:]])
                 for address in published]
        return lines + [line] if self.inside == "add" else lines

    def to_inside(self, line):
        fields = line.split()
        if self.phone == "hide":
            return []
        if self.phone == "back" and len(fields) >= 8:
            return [" ".join([*fields[:4], BACK, *fields[5:]])] if fields[2].lower() == "udp" else []
        return [line]

    def description(self, sdp, each):
        """`each` applied to the candidates of a description."""
        lines = []
        for line in sdp.replace("\r\n", "\n").split("\n"):
            if line.startswith("a=candidate:"):
                lines += ["a=" + text for text in each(line[2:])]
            elif line.startswith("a=end-of-candidates") and not self.ends:
                continue
            else:
                lines.append(line)
        return "\r\n".join(lines)

    def message(self, message, each):
        """`each` applied to a trickled candidate: the messages to pass on."""
        if not message.get("candidate"):
            return [message] if self.ends else []
        return [dict(message, candidate=text) for text in each(message["candidate"])]


class Call:
    """`phone` and `inside` are peers. `offerer` is "phone" or "postern" (the inside)."""

    def __init__(self, phone, inside, offerer, rewriter, answer_delay=0.0, candidate_delay=0.0):
        self.phone, self.inside, self.offerer, self.rewriter = phone, inside, offerer, rewriter
        self.answer_delay, self.candidate_delay = answer_delay, candidate_delay
        self.pumps, self.described_at = [], None
        self.last_stats, self.exit_code, self.pump_error = {}, None, None

    def _for_phone(self, sdp):
        return self.rewriter.description(sdp, self.rewriter.to_phone)

    def _for_inside(self, sdp):
        return self.rewriter.description(sdp, self.rewriter.to_inside)

    async def start(self):
        """Offer and answer exchanged, candidates under way."""
        phone_offers = self.offerer == "phone"
        await asyncio.gather(self.phone.start(phone_offers), self.inside.start(not phone_offers))
        if phone_offers:
            answer = await self.inside.answer(self._for_inside(await self.phone.offer()))
            self._pump_to_inside()
            await asyncio.sleep(self.answer_delay)
            await self.phone.take_answer(self._for_phone(answer))
            self._pump_to_phone()
        else:
            answer = await self.phone.answer(self._for_phone(await self.inside.offer()))
            self._pump_to_phone()
            await asyncio.sleep(self.answer_delay)
            await self.inside.take_answer(self._for_inside(answer))
            self._pump_to_inside()
        self.described_at = time.monotonic()
        self.pumps += [asyncio.create_task(self._carry(self.inside, self.phone, self._for_phone, self._for_inside)),
                       asyncio.create_task(self._carry(self.phone, self.inside, self._for_inside, self._for_phone))]

    async def _carry(self, source, sink, onward, back):
        """Offers that a Postern makes later, and what is said to them."""
        if source.name != "postern":
            return
        try:
            while message := await source.descriptions.get():
                sdp = onward(message["sdp"])
                if sink.name == "postern":
                    sink.send({"type": message["type"], "sdp": sdp})
                elif message["type"] == "offer":
                    source.send({"type": "answer", "sdp": back(await sink.answer(sdp))})
        except (RuntimeError, asyncio.TimeoutError) as error:
            self.pump_error = str(error)

    def _pump_to_phone(self):
        self.pumps.append(asyncio.create_task(self._pump(self.inside, self.phone, self.rewriter.to_phone)))

    def _pump_to_inside(self):
        self.pumps.append(asyncio.create_task(self._pump(self.phone, self.inside, self.rewriter.to_inside)))

    async def _pump(self, source, sink, each):
        try:
            await asyncio.sleep(self.candidate_delay)
            while True:
                for message in self.rewriter.message(await source.candidates.get(), each):
                    await sink.add_candidate(message)
        except RuntimeError as error:
            self.pump_error = str(error)

    async def renegotiated_by_phone(self):
        """The phone offers an ICE restart (Chromium only)."""
        answer = await self.inside.answer(self._for_inside(await self.phone.offer(iceRestart=True)))
        await self.phone.take_answer(self._for_phone(answer))

    async def connected(self, timeout=15.0):
        """Waits for both ends. Seconds since both had both descriptions; None where it was not within `timeout`."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.phone.connected_at and self.inside.connected_at:
                return max(self.phone.connected_at, self.inside.connected_at) - self.described_at
            if self.inside.process.returncode is not None:
                return None
            await asyncio.sleep(0.02)
        return None

    async def close(self):
        try:
            self.last_stats = await self.phone.stats() or {}
        except (RuntimeError, asyncio.TimeoutError) as error:
            self.last_stats = {"error": str(error)}
        for pump in self.pumps:
            pump.cancel()
        self.exit_code = await self.inside.close()
        await self.phone.close()

    # After `close`: frames that came out at each end.

    def decoded_by_phone(self):
        if self.phone.name == "postern":
            return self.phone.received("video"), self.phone.received("audio")
        video = self.last_stats.get("video_in", {}).get("framesDecoded") or 0
        audio = (self.last_stats.get("audio_in", {}).get("packetsReceived")) or 0
        return video, audio

    def decoded_inside(self):
        return self.inside.received("video"), self.inside.received("audio")


class RoomCall(Call):
    """A call made in a room of `postern serve`: whoever enters second makes the offer."""

    def __init__(self, phone, inside, offerer, phone_url, inside_url):
        super().__init__(phone, inside, offerer, None)
        self.phone_url, self.inside_url = phone_url, inside_url

    async def start(self):
        ends = [(self.phone, self.phone_url), (self.inside, self.inside_url)]
        if self.offerer == "phone":
            ends.reverse()
        (first, first_url), (second, second_url) = ends
        await first.enter(first_url)
        await asyncio.sleep(0.7 if first.name == "postern" else 0.1)
        await second.enter(second_url)

    async def connected(self, timeout=15.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end and not (self.phone.described_at and self.inside.described_at):
            await asyncio.sleep(0.02)
        self.described_at = max(self.phone.described_at or 0, self.inside.described_at or 0)
        return await super().connected(max(0.1, end - time.monotonic()))
