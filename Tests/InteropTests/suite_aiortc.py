"""Scenarios with aiortc: a pure Python peer on OpenSSL and libsrtp, without trickling, transport-wide feedback or mDNS."""
import asyncio

from call import Call
from net import host_ip
from relay import Relay


def missing():
    try:
        import aiortc  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def version():
    from aiortc_peer import VERSION
    return VERSION


async def run(runner):
    from aiortc_peer import AiortcPeer
    binary = runner.options.postern

    def call(folder, offerer, options=None, **rest):
        return Call(binary, folder, AiortcPeer(options or {}), offerer, **rest)

    async def both_ways(folder, offerer, rewrite=None, **options):
        c = await call(folder, offerer, options, rewrite=rewrite).run()
        c.check_exit()
        c.check_foreign_video()
        c.check_foreign_audio()
        c.check_recording()
        return c

    await runner.scenario("postern offers", lambda f: both_ways(f, "postern"))
    await runner.scenario("aiortc offers", lambda f: both_ways(f, "foreign"))

    async def data_channel(folder):
        """Declined with port 0. aiortc refuses any answer with a declined section: it wants ICE credentials there too."""
        c = call(folder, "foreign", {"data": True}, seconds=4)
        try:
            await c.run()
        except ValueError as error:
            c.check("declined, which aiortc itself refuses", "m=application 0" in c.answer and "ICE username" in str(error), error)
        else:
            c.check("declined", "m=application 0" in c.answer)
            c.check_foreign_audio()
        return c

    await runner.scenario("aiortc offers with data channel", data_channel)

    async def only_sends(folder, offerer):
        c = await call(folder, offerer, {"send": ()}, arguments=["--send", "test", "--duration", "10"]).run()
        c.check_exit()
        c.check_foreign_video()
        c.check_foreign_audio()
        return c

    async def only_receives(folder, offerer):
        c = await call(folder, offerer, {"receive": ()}, arguments=["--record", "{out}/out.webm", "--duration", "10"]).run()
        c.check_exit()
        c.check_recording()
        return c

    await runner.scenario("postern offers, only sends", lambda f: only_sends(f, "postern"))
    await runner.scenario("aiortc offers, only receives", lambda f: only_sends(f, "foreign"))
    await runner.scenario("postern offers, only receives", lambda f: only_receives(f, "postern"))
    await runner.scenario("aiortc offers, only sends", lambda f: only_receives(f, "foreign"))

    async def audio_only(folder, offerer):
        c = await call(folder, offerer, {"send": ("audio",), "receive": ("audio",)}).run()
        c.check_exit()
        c.check_foreign_audio()
        c.check_recording(kinds=("audio",))
        return c

    await runner.scenario("aiortc offers audio only", lambda f: audio_only(f, "foreign"))

    # An offer that says `active` makes Postern the DTLS server.
    await runner.scenario("aiortc offers as DTLS client", lambda f: both_ways(
        f, "foreign", rewrite=lambda o, s: s.replace("a=setup:actpass", "a=setup:active") if o == "foreign" else s))

    async def pcmu(folder):
        def only_pcmu(origin, sdp):
            return sdp if origin == "postern" else keep_audio(sdp, "0")
        c = await call(folder, "foreign", {"send": ("audio",), "receive": ("audio",)}, rewrite=only_pcmu,
                       arguments=["--send", "test", "--record", "{out}/out.mkv", "--duration", "10"]).run()
        c.check_exit()
        c.check_foreign_audio()
        c.check_recording(kinds=("audio",))
        return c

    await runner.scenario("aiortc offers PCMU only", pcmu)

    async def keyframes(folder):
        async def ask(c):
            await asyncio.sleep(3)
            for _ in range(3):
                await c.peer.ask_keyframe()
                await asyncio.sleep(1)
        c = await call(folder, "foreign", during=ask).run()
        c.check_exit()
        c.check_foreign_video()
        stats = c.report_stats("outbound-rtp", "video")[0]
        c.check("PLI heard and answered", stats.get("pliCount", 0) >= 3 and stats.get("keyFramesEncoded", stats.get(
            "keyFramesSent", 0)) >= 4, f"{stats.get('pliCount')} PLIs, {stats.get('keyFramesEncoded', stats.get('keyFramesSent'))} keyframes")
        return c

    await runner.scenario("PLI from aiortc", keyframes)

    async def loss(folder, offerer, amount):
        relay = Relay(host_ip(), loss=amount, delay=0.02)

        async def lose(c):
            relay.lossy = True
        c = await call(folder, offerer, relay=relay, during=lose).run()
        c.check_exit()
        c.check_foreign_video(minimum_rate=0.6)
        c.check_foreign_audio()
        c.check_recording(gap=1.0)
        inbound = c.report_stats("inbound-rtp", "video")[0]
        outbound = c.report_stats("outbound-rtp", "video")[0]
        c.check("lost on the wire", sum(relay.lost.values()) > 0, dict(relay.lost))
        c.check("NACKs sent, RTX received", inbound["nackCount"] > 0 and inbound.get("retransmittedPacketsReceived", 0) > 0,
                f"{inbound['nackCount']}, {inbound.get('retransmittedPacketsReceived')}")
        c.check("NACKs heard, RTX sent", outbound["nackCount"] > 0 and outbound["retransmittedPacketsSent"] > 0,
                f"{outbound['nackCount']}, {outbound['retransmittedPacketsSent']}")
        return c

    await runner.scenario("loss 5% postern offers", lambda f: loss(f, "postern", 0.05))
    await runner.scenario("loss 5% aiortc offers", lambda f: loss(f, "foreign", 0.05))

    async def hangs_up(folder):
        async def leave(c):
            await asyncio.sleep(4)
            await c.peer.connection.close()
        c = await call(folder, "foreign", during=leave, seconds=20).run()
        c.check_exit()
        c.check_recording(seconds=4, gap=0.5)
        return c

    await runner.scenario("aiortc hangs up", hangs_up)


def keep_audio(sdp, number):
    """The description with one payload type left in its audio section."""
    out, is_audio = [], False
    for line in sdp.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            is_audio = line.startswith("m=audio")
            if is_audio:
                fields = line.split()
                line = " ".join(fields[:3] + [number])
        if is_audio and line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")) and line.split(":")[1].split()[0] != number:
            continue
        out.append(line)
    return "\r\n".join(out)
