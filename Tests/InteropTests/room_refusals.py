"""What is refused, in words."""
import asyncio
import os

import recorded
from net import host_ip


class Refusals:
    async def refusals(self):
        async def expect(s, page, key, what):
            s.result.check(what, await page.until(f"document.querySelector('main:not([hidden]) .notice')?.dataset.key === '{key}'", 8),
                           await page.evaluate("document.querySelector('main:not([hidden]) .notice p')?.textContent"))

        async def token(s):
            page = await s.page()
            await page.join("r", "test")
            await expect(s, page, "noToken", "a token is wanted")
            await page.join("r", "test", token="wrong")
            await expect(s, page, "wrongToken", "a wrong token is refused")
            await page.join("r", "test", token="a-secret+of/ours")
            s.result.check("the right one is let in", await page.until("postern.phase === 'waiting'", 5), await page.sentence())
            s.result.check("it is not in the address line", "secret" not in await page.evaluate("location.href"))
            linked = await s.page(fragment={"room": "r", "token": "a-secret+of/ours"})
            await linked.choose("test")
            await linked.click("join")
            s.result.check("a link with the token connects", await linked.connected(10) and await page.connected(5))
            s.result.check("its token left the address line", "secret" not in await linked.evaluate("location.href"))
            for one in (page, linked):
                s.result.check("no token in the log", "secret" not in await one.log())
                s.check_console(one, but=["401", "WebSocket connection to"])
        await self.scenario("token", token, token="a-secret+of/ours")

        async def full(s):
            pages = [await s.page() for _ in range(3)]
            for page in pages[:2]:
                await page.join("f", "test")
                await page.until("postern.signaling.isIn", 5)
            await pages[0].connected()
            await pages[2].join("f", "test")
            await expect(s, pages[2], "roomFull", "the third is refused")
            await s.check_page_plays(pages[0], "the two are undisturbed")
            await pages[1].click("hang")
            await asyncio.sleep(0.3)
            await pages[2].click("join")
            s.result.check("and let in when one has left", await pages[2].connected(10))
        await self.scenario("room full", full)

        async def unreachable(s):
            page = await s.page()
            await s.server.stop()
            await page.join("r", "test")
            await expect(s, page, "unreachable", "a server that is gone")
        await self.scenario("server unreachable", unreachable)

        async def names(s):
            page = await s.page()
            await page.join("not a name", "test")
            s.result.check("a bad name is said beside the field", await page.evaluate(
                "!document.getElementById('room-wrong').hidden && document.activeElement.id === 'room'"),
                await page.evaluate("document.getElementById('room-wrong').textContent"))
            await page.join("good", "test")
            s.result.check("a good one is not", await page.until("postern.phase === 'waiting'", 5))
            s.result.check("nobody there is said", "good" in (await page.evaluate("document.getElementById('headline').textContent")),
                           await page.evaluate("document.getElementById('headline').textContent"))
        await self.scenario("room names", names)

        async def denied(s):
            page, call = await s.pair("postern", seconds=6, browser=self.shy)
            await expect(s, page, "denied", "a refused camera")
            await s.check_page_plays(page, "the call goes on with a test picture")
            await s.check_end(call)
            s.check_recording(call.record_path, 6, source="test")
        await self.scenario("camera refused", denied)

        async def insecure(s):
            page = await s.page()
            await expect(s, page, "insecure", "no camera without HTTPS")
            call = await s.call("r", seconds=6)
            await s.present(1)
            await page.join("r", "test")
            s.result.check("connected", await page.connected())
            await s.check_page_plays(page)
            await s.check_end(call)
        if host_ip() != "127.0.0.1":
            await self.scenario("page is not secure", insecure, host=host_ip(), serve=("--open",))
        else:
            print("!!! room: no address but loopback here: the scenario of the insecure page was NOT run")

        async def secure(s):
            page = await s.page()
            s.result.check("a secure context", await page.evaluate("isSecureContext"))
            call = await s.call("r", "--insecure", seconds=6)
            await s.present(1)
            await page.join("r")
            s.result.check("connected with the camera", await page.connected() and await page.sentence() is None, await page.sentence())
            await s.check_page_plays(page)
            await s.check_end(call)
            s.check_recording(call.record_path, 6)
        if host_ip() != "127.0.0.1":
            await self.scenario("HTTPS with the server's own certificate", secure, host=host_ip(), serve=("--open", "--tls-self-signed"))

        async def chinese(s):
            page = await s.page(language="zh-CN")
            await page.join("r", "test")
            await page.until("postern.phase === 'waiting'", 5)
            text = await page.evaluate("document.body.innerText")
            s.result.check("Chinese by the browser's language", "挂断" in text and "还没有其他人" in text and "Hang up" not in text)
            await page.click("language")
            text = await page.evaluate("document.body.innerText")
            s.result.check("and English by a button", "Hang up" in text and "挂断" not in text)
        await self.scenario("languages", chinese)

        async def twins(s):
            """The judge of recordings must be able to say no: a still picture, silence, Postern's own pattern."""
            still, own = os.path.join(s.folder, "still.webm"), os.path.join(s.folder, "own.webm")
            for path, picture, sound in ((still, "color=green:s=320x240:r=10", "anullsrc=r=48000"), (own, "testsrc=s=320x240:r=10", "sine=f=440:r=48000")):
                process = await asyncio.create_subprocess_exec(
                    "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", "4", "-c:v", "libvpx", "-c:a", "libopus", path)
                await process.wait()
                found = recorded.describe(path)
                s.result.check(os.path.basename(path) + " is not the fake device", not recorded.holds_fake_device(found),
                               f"{found['beeps']:.1f} beeps/s, {found['green']:.0%} green, {found['motion']:.0%} moves")
            page = await s.page()
            await page.join("r", "test")
            await page.until("postern.phase === 'waiting'", 5)
            frames, energy, packets = await s.growth(page, 1)
            s.result.check("a page that waits decodes nothing", frames == 0 and energy == 0 and packets == 0 and await page.picture() == 0)
            s.result.check("and is not connected", not await page.connected(0.2))
        await self.scenario("the checks can fail", twins)
