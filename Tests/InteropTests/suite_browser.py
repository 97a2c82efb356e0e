"""Scenarios with a browser: trickling, mDNS candidates, simulcast, transport-wide feedback, DTLS 1.3 offered first with a
post-quantum key share (the ClientHello fills two datagrams), RED and FEC offers."""
import asyncio
import os

from browser_peer import BrowserPeer
from call import Call
from net import has_ipv6, host_ip
from relay import Relay


async def run(runner, kind):
    """`kind` is the class of the browser."""
    binary = runner.options.postern
    folder = os.path.join(os.path.abspath(runner.options.out), kind.name)
    os.makedirs(folder + "/shy", exist_ok=True)
    browser = kind(folder)
    shy = kind(folder + "/shy", grants_media=False) if kind.name == "chromium" else browser
    await browser.start()
    if shy is not browser:
        await shy.start()
    try:
        await scenarios(runner, binary, browser, shy)
    finally:
        await browser.stop()
        if shy is not browser:
            await shy.stop()


async def scenarios(runner, binary, usual, shy):
    name = usual.name
    is_chromium = name == "chromium"

    def call(folder, offerer, options=None, **rest):
        browser = shy if (options or {}).get("media") == "canvas" else usual
        return Call(binary, folder, BrowserPeer(browser, options or {}), offerer, **rest)

    def describe_transport(c):
        # The last look may meet the end of the call, where DTLS is closed already and the connection says nothing of it yet.
        standing = [one for one in c.snapshots if one["transport"].get("dtlsState") == "connected"]
        last = standing[-1] if standing else c.last
        transport, pair = last["transport"], last["pair"]
        c.check("transport", transport.get("dtlsState") == "connected",
                f"{transport.get('tlsVersion')} {transport.get('srtpCipher')} {name} is {transport.get('dtlsRole')}, "
                f"{last['local'].get('candidateType')}-{last['remote'].get('candidateType')}, "
                f"rtt {1000 * pair.get('currentRoundTripTime', 0):.0f} ms")

    def check_estimate(c, least=1_000_000):
        if not is_chromium:  # Firefox does not tell its estimate: what it sends does.
            sent = [s["video_out"].get("bytesSent", 0) for s in c.snapshots[-5:]]
            span = c.snapshots[-1]["t"] - c.snapshots[-len(sent)]["t"] if len(sent) > 1 else 1
            rate = (sent[-1] - sent[0]) * 8 / span if len(sent) > 1 else 0
            return c.check("sends video", rate > 100_000, f"{rate / 1000:.0f} kbit/s")
        rates = [s["pair"].get("availableOutgoingBitrate", 0) for s in c.snapshots]
        c.check(f"{name}'s estimate rises from 300 kbit/s", rates and rates[-1] >= least,
                f"{(rates or [0])[0] / 1000:.0f} to {(rates or [0])[-1] / 1000:.0f} kbit/s")

    async def both_ways(folder, offerer, estimate=True, gap=0.4, **options):
        rest = {k: options.pop(k) for k in ("rewrite", "filter_candidates", "candidate_delay", "during", "arguments", "seconds") if k in options}
        c = await call(folder, offerer, options, **rest).run()
        c.check_exit()
        describe_transport(c)
        c.check_foreign_video()
        c.check_foreign_audio()
        c.check_recording(gap=gap)
        if estimate:
            check_estimate(c)
        return c

    await runner.scenario("postern offers", lambda f: both_ways(f, "postern"))
    await runner.scenario(f"{name} offers", lambda f: both_ways(f, "foreign"))

    # Without camera and microphone the page may not know its addresses: candidates are names nobody can resolve.
    async def hidden(folder, offerer):
        # Firefox hides its addresses behind names even so.
        c = await both_ways(folder, offerer, media="canvas" if is_chromium else "device")
        with open(os.path.join(folder, "signalling.ndjson")) as file:
            names = [line for line in file if line.startswith("< ") and ".local " in line]
        c.check("mDNS candidates came", names, f"{len(names)}")
        return c

    await runner.scenario("mDNS candidates, postern offers", lambda f: hidden(f, "postern"))
    await runner.scenario(f"mDNS candidates, {name} offers", lambda f: hidden(f, "foreign"))

    def swap_setup(origin, sdp):
        return sdp.replace("a=setup:actpass", "a=setup:active") if origin == "foreign" else sdp

    await runner.scenario(f"{name} offers as DTLS client", lambda f: both_ways(f, "foreign", rewrite=swap_setup))
    await runner.scenario(f"{name} offers with data channel", lambda f: both_ways(f, "foreign", data=True))
    await runner.scenario(f"{name} offers second video", lambda f: both_ways(f, "foreign", extraVideo=True))

    async def simulcast(folder):
        c = await both_ways(folder, "foreign", estimate=False, simulcast=True)
        layers = [e for e in c.last["all_video_out"] if e.get("framesSent", 0) > 10]
        with open(os.path.join(folder, "sent-layers"), "w") as file:
            file.write("\n".join(map(str, c.last["all_video_out"])))
        c.check("layers sent", len(layers) >= 1, ", ".join(f"{e.get('rid')} {e.get('frameHeight')}" for e in layers))
        return c

    await runner.scenario(f"{name} offers simulcast", simulcast)

    async def one_way(folder, offerer, sends):
        if sends:
            c = await call(folder, offerer, {"send": []}, arguments=["--send", "test", "--duration", "10"]).run()
        else:
            c = await call(folder, offerer, {"receive": []}, arguments=["--record", "{out}/out.webm", "--duration", "10"]).run()
        c.check_exit()
        describe_transport(c)
        if sends:
            c.check_foreign_video()
            c.check_foreign_audio()
        else:
            c.check_recording()
            check_estimate(c)
        return c

    await runner.scenario("postern offers, only sends", lambda f: one_way(f, "postern", True))
    await runner.scenario("postern offers, only receives", lambda f: one_way(f, "postern", False))
    await runner.scenario(f"{name} offers, only receives", lambda f: one_way(f, "foreign", True))
    await runner.scenario(f"{name} offers, only sends", lambda f: one_way(f, "foreign", False))

    async def audio_only(folder, offerer, **options):
        arguments = options.pop("arguments", None)
        c = await call(folder, offerer, dict({"send": ["audio"], "receive": ["audio"]}, **options), arguments=arguments).run()
        c.check_exit()
        describe_transport(c)
        c.check_foreign_audio()
        c.check_recording(kinds=("audio",))
        return c

    await runner.scenario(f"{name} offers audio only", lambda f: audio_only(f, "foreign"))
    await runner.scenario("stereo Opus with FEC", lambda f: audio_only(
        f, "foreign", munge=[["useinbandfec=1", "useinbandfec=1;stereo=1;sprop-stereo=1;maxaveragebitrate=128000"]]))
    await runner.scenario("Opus DTX", lambda f: audio_only(
        f, "foreign", munge=[["useinbandfec=1", "useinbandfec=1;usedtx=1"]]))
    mkv = ["--send", "test", "--record", "{out}/out.mkv", "--duration", "10"]
    await runner.scenario("PCMU", lambda f: audio_only(
        f, "foreign", preferences={"audio": ["audio/PCMU"]}, arguments=mkv))
    await runner.scenario("PCMA, postern offers", lambda f: audio_only(
        f, "postern", preferences={"audio": ["audio/PCMA"]}, arguments=mkv))

    async def no_vp8(folder):
        c = await call(folder, "foreign", {"preferences": {"video": ["video/H264", "video/VP9", "video/rtx"]}}).run()
        c.check_exit()
        c.check("video declined", "m=video 0 " in c.answer, "")
        c.check_foreign_audio()
        c.check_recording(kinds=("audio",))
        return c

    await runner.scenario(f"{name} offers no VP8", no_vp8)
    if is_chromium:
        await runner.scenario("RED preferred", lambda f: audio_only(
            f, "foreign", preferences={"audio": ["audio/red", "audio/opus"]}))

    if has_ipv6():
        def only_v6(receiver, candidate):
            return ":" in candidate.split()[4]
        async def ipv6(folder, offerer):
            c = await both_ways(folder, offerer, filter_candidates=only_v6)
            address = c.last["remote"].get("address") or c.last["remote"].get("ip") or ""
            c.check("over IPv6", ":" in address, address)
            return c
        await runner.scenario("IPv6 only, postern offers", lambda f: ipv6(f, "postern"))
        await runner.scenario(f"IPv6 only, {name} offers", lambda f: ipv6(f, "foreign"))

    def late(receiver, sdp):
        return "\r\n".join(line for line in sdp.replace("\r\n", "\n").split("\n") if not line.startswith(
            ("a=candidate:", "a=end-of-candidates")))

    # Descriptions without candidates, which follow a second later.
    for offerer, who in (("postern", "postern"), ("foreign", name)):
        await runner.scenario(f"late candidates, {who} offers", lambda f, o=offerer: both_ways(
            f, o, rewrite=late, candidate_delay=1))
    # One side knows nothing of the other: its checks teach it.
    for receiver, who in (("postern", "postern"), ("foreign", name)):
        for offerer in ("postern", "foreign"):
            await runner.scenario(
                f"{who} is told no candidates, {'postern' if offerer == 'postern' else name} offers",
                lambda f, r=receiver, o=offerer: both_ways(f, o, filter_candidates=lambda to, _: to != r))

    # ICE-TCP: nothing of UDP is told to either; Chromium connects, postern listens.
    async def by_tcp(folder, offerer):
        arguments = ["--ice-transport", "tcp", "--send", "test", "--record", "{out}/out.webm", "--duration", "10"]
        c = await both_ways(folder, offerer, arguments=arguments,
                            filter_candidates=lambda _, candidate: candidate.split()[2].lower() == "tcp")
        ends = [c.last[end].get("protocol") for end in ("local", "remote")]
        c.check("over TCP", ends == ["tcp", "tcp"], f"{ends}")
        return c

    if is_chromium:
        await runner.scenario("ICE-TCP only, postern offers", lambda f: by_tcp(f, "postern"))
        await runner.scenario(f"ICE-TCP only, {name} offers", lambda f: by_tcp(f, "foreign"))

    async def many(folder):
        slowest, failed = 0, []
        for index in range(10):
            place = os.path.join(folder, str(index))
            os.makedirs(place)
            c = await call(place, ("postern", "foreign")[index % 2], seconds=2).run()
            setup = c.postern.report().get("setup") or 1e9
            slowest = max(slowest, setup)
            if c.exit_code != 0 or not c.last["video_in"].get("framesDecoded") or setup > 2000:
                failed.append(f"{index}: exit {c.exit_code}, setup {setup:.0f} ms")
        c.check("ten short calls", not failed, "; ".join(failed) or f"slowest set-up {slowest:.0f} ms")
        return c

    await runner.scenario("ten calls in a row", many)

    async def loss(folder, offerer, amount):
        relay = Relay(host_ip(), loss=amount, delay=0.02)

        async def lose(c):
            relay.lossy = True
        c = await call(folder, offerer, relay=relay, during=lose).run()
        c.check_exit()
        describe_transport(c)
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
        video = c.last["video_in"]
        if is_chromium:  # Firefox does not count them.
            c.check(f"{name} got RTX", video.get("retransmittedPacketsReceived", 0) > 0,
                    f"{video.get('retransmittedPacketsReceived')} packets, {video.get('freezeCount')} freezes")
        return c

    await runner.scenario("loss 5%, postern offers", lambda f: loss(f, "postern", 0.05))
    await runner.scenario(f"loss 5%, {name} offers", lambda f: loss(f, "foreign", 0.05))

    async def blackout(folder):
        relay = Relay(host_ip(), delay=0.02)

        async def cut(c):
            await asyncio.sleep(4)
            relay.blackout = True
            await asyncio.sleep(1.5)
            relay.blackout = False
        c = await call(folder, "foreign", relay=relay, during=cut).run()
        c.check_exit()
        c.check_foreign_video(minimum_rate=0.5)
        c.check_recording(gap=3)
        outbound = c.report_stats("outbound-rtp", "video")[0]
        inbound = c.report_stats("inbound-rtp", "video")[0]
        decoded = [s["video_in"].get("framesDecoded", 0) for s in c.snapshots]
        c.check(f"{name}'s picture returned", len(decoded) > 4 and decoded[-1] - decoded[-4] > 20, f"{decoded[-4:]}")
        c.check("PLIs", True, f"from {name} {outbound.get('pliCount')}, from postern {inbound.get('pliCount')}")
        return c

    await runner.scenario("1.5 s without media", blackout)

    async def narrow(folder):
        relay = Relay(host_ip(), delay=0.02, rate=600_000, queue=0.4)
        relay.lossy = True
        c = await call(folder, "foreign", relay=relay, seconds=20).run()
        c.check_exit()
        c.check_foreign_video(minimum_rate=0.4)
        c.check_recording(gap=2)
        rates = [s["pair"].get("availableOutgoingBitrate", 0) for s in c.snapshots]
        if not is_chromium:
            rates = [sum(s["video_out"].get("bytesSent", 0) * i for s, i in ((c.snapshots[-1], 8), (c.snapshots[-9], -8)))
                     / (c.snapshots[-1]["t"] - c.snapshots[-9]["t"])]
        c.check(f"{name} adapts", rates and 100_000 < rates[-1] < 900_000, f"{(rates or [0])[-1] / 1000:.0f} kbit/s")
        outbound = c.report_stats("outbound-rtp", "video")[0]
        c.check("postern adapts", outbound.get("bytesSent", 0) * 8 / 20 < 620_000,
                f"{outbound.get('bytesSent', 0) * 8 / 20000:.0f} kbit/s, lost {relay.lost}")
        return c

    await runner.scenario("600 kbit/s", narrow)

    async def restart(folder):
        async def again(c):
            await asyncio.sleep(3)
            await c.renegotiate(iceRestart=True)
        c = await both_ways(folder, "foreign", during=again, estimate=False, gap=0.8)
        return c

    await runner.scenario(f"ICE restart by {name}", restart)

    async def hold(folder):
        async def pause(c):
            await asyncio.sleep(3)
            await c.peer.call("setDirection", "video", "recvonly")
            await c.renegotiate()
            await asyncio.sleep(2)
            await c.peer.call("setDirection", "video", "sendrecv")
            await c.renegotiate()
        c = await both_ways(folder, "foreign", during=pause, estimate=False, gap=4)
        return c

    await runner.scenario(f"{name} pauses its video", hold)

    async def dtmf(folder):
        async def press(c):
            await asyncio.sleep(2)
            await c.peer.call("dtmf", "159")
        c = await call(folder, "foreign", {"send": ["audio"], "receive": ["audio"]}, during=press).run()
        c.check_exit()
        c.check_recording(kinds=("audio",), gap=1.5)
        return c

    await runner.scenario(f"DTMF from {name}", dtmf)

    async def hangs_up(folder):
        async def leave(c):
            await asyncio.sleep(4)
            await c.peer.call("close")
        c = await call(folder, "foreign", during=leave, seconds=20).run()
        c.check_exit()
        c.check_recording(seconds=4, gap=0.5)
        return c

    await runner.scenario(f"{name} hangs up", hangs_up)
