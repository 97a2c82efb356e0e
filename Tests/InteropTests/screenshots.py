"""Pictures of the page: phone and desktop, light and dark, English and Chinese, in every state worth a look.

    python Tests/InteropTests/screenshots.py --postern .build/debug/postern --out out/screenshots

Two pages call each other through `postern serve`; `--url` uses a server that runs already. Contact sheets are made where Pillow is there.
"""
import argparse
import asyncio
import os

from chromium_peer import Chromium
from net import host_ip
from room import Server
from room_page import RoomPage

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--postern")
    parser.add_argument("--url")
    parser.add_argument("--insecure-url", help="the same server by an address that is not loopback")
    parser.add_argument("--out", default="out/screenshots")
    parser.add_argument("--only", default="", help="part of the names, such as phone-dark-zh")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    servers = []
    if not options.url:
        for host in ["127.0.0.1"] + ([host_ip()] if host_ip() != "127.0.0.1" else []):
            servers.append(await Server(options.postern, options.out, *(["--open"] if host != "127.0.0.1" else []),
                                        host=host, name="serve-" + host).start())
        options.url, options.insecure_url = servers[0].url, servers[-1].url
    browser = Chromium(options.out)
    await browser.start()
    made = []
    try:
        for size in SIZES:
            for theme in ("light", "dark"):
                for language in LANGUAGES:
                    name = f"{size}-{theme}-{language}"
                    if options.only in name:
                        made += await pictures(browser, options, name, size, theme, language)
    finally:
        await browser.stop()
        for server in servers:
            await server.stop()
    sheets(options.out, made)
    print(f"{len(made)} pictures in {options.out}")


async def pictures(browser, options, name, size, theme, language):
    made, rest = [], {"size": SIZES[size], "language": LANGUAGES[language], "dark": theme == "dark"}

    async def shoot(page, state):
        path = os.path.join(options.out, f"{name}-{state}.png")
        await asyncio.sleep(0.35)
        await page.screenshot(path)
        made.append(path)

    page, other = RoomPage(browser, options.url), RoomPage(browser, options.url)
    await page.open(fragment={"room": "demo"}, **rest)
    await shoot(page, "1-start")
    await page.evaluate("document.getElementById('options').open = true; scrollTo(0, 9999)")
    await shoot(page, "2-options")
    await page.join("demo", "both")
    await page.until("postern.phase === 'waiting'", 10)
    await shoot(page, "3-waiting")
    await other.open()
    await other.join("demo", "test", name="PC")
    await page.connected()
    await asyncio.sleep(5)
    await page.evaluate("matchMedia('(min-width: 900px)').matches && document.getElementById('panel-button').click()")
    await shoot(page, "4-call")
    await page.click("panel-button")
    await asyncio.sleep(1)
    await shoot(page, "5-panel")
    await page.evaluate("document.getElementById('panel').scrollTo(0, 620)")
    await shoot(page, "6-panel-below")
    await page.evaluate("document.getElementById('panel').scrollTo(0, 0); matchMedia('(min-width: 900px)').matches || document.getElementById('close').click()")
    await page.click("pad-button")
    await page.evaluate("[...'42#'].forEach(key => postern.press(key))")
    await shoot(page, "7-keys")
    await page.click("menu-button")
    await shoot(page, "8-menu")
    await page.click("hold")
    await asyncio.sleep(1.2)
    await shoot(page, "9-held")
    third = RoomPage(browser, options.url)
    await third.open(**rest)
    await third.join("demo", "test")
    await third.until("postern.state.refusal", 5)
    await shoot(third, "a-full")
    await other.click("hang")
    await page.until("postern.state.ended", 5)
    await shoot(page, "b-ended")
    await page.click("hang")
    # Two sides that cannot reach each other: the sentence while it is tried.
    for one in (page, other):
        await one.command("Page.addScriptToEvaluateOnNewDocument", {"source": """
          const add = RTCPeerConnection.prototype.addIceCandidate;
          RTCPeerConnection.prototype.addIceCandidate = function (one) { return add.call(this, one && {...one, candidate: one.candidate.replace(/ \\S+ \\d+ typ/, ' 192.0.2.77 40009 typ')}); };"""})
        await one.go()
    await page.join("walled", "both")
    await page.until("postern.phase === 'waiting'", 10)
    await other.join("walled", "test", name="PC")
    await page.until("postern.state.shown", 15)
    await shoot(page, "c-stuck")
    if options.insecure_url and options.insecure_url != options.url:
        plain = RoomPage(browser, options.insecure_url)
        await plain.open(fragment={"room": "demo"}, **rest)
        await shoot(plain, "d-insecure")
        await plain.close()
    for one in (page, other, third):
        await one.close()
    print(name)
    return made


def sheets(folder, made):
    """All states of one look side by side."""
    try:
        from PIL import Image
    except ImportError:
        return
    for name in sorted({os.path.basename(path).rsplit("-", 2)[0] if "panel-below" not in path else os.path.basename(path).rsplit("-", 3)[0] for path in made}):
        images = [Image.open(path).convert("RGB") for path in made if os.path.basename(path).startswith(name + "-")]
        width = 390 if "phone" in name else 960
        images = [one.resize((width, one.height * width // one.width)) for one in images]
        across = 7 if "phone" in name else 2
        height = images[0].height
        sheet = Image.new("RGB", (across * (width + 12), -(-len(images) // across) * (height + 12)), "#777")
        for index, one in enumerate(images):
            sheet.paste(one, (index % across * (width + 12) + 6, index // across * (height + 12) + 6))
        sheet.save(os.path.join(folder, f"sheet-{name}.png"))


if __name__ == "__main__":
    asyncio.run(main())
