import suite_browser
from firefox_peer import Firefox


def missing():
    return None if Firefox.binary() else "no firefox on the PATH; apt-get install firefox-esr"


def version():
    return Firefox.version()


async def run(runner):
    await suite_browser.run(runner, Firefox)
