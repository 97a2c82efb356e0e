"""Scenarios with GStreamer's webrtcbin, which is built on libnice and OpenSSL."""
import asyncio

from call import Call
from gstreamer_peer import GStreamerPeer, missing, version  # noqa: F401 - the runner asks for the latter two


async def run(runner):
    binary = runner.options.postern

    async def both_ways(folder, offerer):
        c = await Call(binary, folder, GStreamerPeer(folder), offerer).run()
        c.check_exit()
        c.check_foreign_video()
        c.check_foreign_audio()
        c.check_recording()
        return c

    await runner.scenario("postern offers", lambda f: both_ways(f, "postern"))
    await runner.scenario("webrtcbin offers", lambda f: both_ways(f, "foreign"))

    # libnice connects and listens: once it has to do the one, once the other.
    async def by_tcp(folder, offerer, mode):
        arguments = ["--ice-transport", "tcp", "--ice-tcp", mode, "--send", "test", "--record", "{out}/out.webm", "--duration", "10"]
        c = await Call(binary, folder, GStreamerPeer(folder), offerer, arguments=arguments,
                       filter_candidates=lambda _, candidate: candidate.split()[2].lower() == "tcp").run()
        c.check_exit()
        pair = c.postern.report().get("selectedPair") or {}
        c.check("over TCP", (pair.get("local") or {}).get("tcpType") == mode, f"{pair.get('local')}")
        c.check_foreign_video()
        c.check_recording(gap=1.0)
        return c

    for mode, who in (("passive", "webrtcbin"), ("active", "postern")):
        for offerer in ("postern", "foreign"):
            await runner.scenario(
                f"ICE-TCP only, {who} connects, {'postern' if offerer == 'postern' else 'webrtcbin'} offers",
                lambda f, o=offerer, m=mode: by_tcp(f, o, m))

    async def audio_only(folder, offerer):
        c = await Call(binary, folder, GStreamerPeer(folder, {"send": ["audio"]}), offerer).run()
        c.check_exit()
        c.check_foreign_audio()
        c.check_recording(kinds=("audio",))
        return c

    await runner.scenario("webrtcbin offers audio only", lambda f: audio_only(f, "foreign"))

    async def hangs_up(folder):
        async def leave(c):
            await asyncio.sleep(4)
            await c.peer.close()
        c = await Call(binary, folder, GStreamerPeer(folder), "foreign", during=leave, seconds=20).run()
        c.check("postern's end", c.exit_code in (0, 22), f"exit {c.exit_code}")
        c.check_recording(seconds=4, gap=1.0)
        return c

    await runner.scenario("webrtcbin hangs up", hangs_up)
