import suite_browser
from chromium_peer import Chromium


def missing():
    return None if Chromium.binary() else "no chromium on the PATH; apt-get install chromium"


def version():
    return Chromium.version()


async def run(runner):
    await suite_browser.run(runner, Chromium)
