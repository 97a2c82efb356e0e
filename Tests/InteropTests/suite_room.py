"""The room: Chromium through the page of `postern serve`, Postern through `postern call ws://…` or as the server itself."""
import os

from chromium_peer import Chromium
from room_breaks import Breaks
from room_calls import Calls
from room_changes import Changes
from room_many import Many
from room_refusals import Refusals
from room_scene import Scene


def missing():
    return None if Chromium.binary() else "no chromium on the PATH; apt-get install chromium"


def version():
    return Chromium.version()


async def run(runner):
    folder = os.path.join(os.path.abspath(runner.options.out), "room")
    os.makedirs(folder + "/shy", exist_ok=True)
    usual, shy = Chromium(folder, flags=["--ignore-certificate-errors"]), Chromium(folder + "/shy", grants_media=False)
    await usual.start()
    await shy.start()
    try:
        room = Room(runner, usual, shy)
        await room.calls()
        await room.changes()
        await room.breaks()
        await room.refusals()
        await room.many()
    finally:
        await usual.stop()
        await shy.stop()


class Room(Calls, Changes, Breaks, Refusals, Many):
    def __init__(self, runner, usual, shy):
        self.runner, self.usual, self.shy = runner, usual, shy
        self.binary, self.seconds = runner.options.postern, runner.options.seconds

    async def scenario(self, name, body, **scene):
        async def staged(folder):
            async with Scene(self, folder, **scene) as stage:
                await body(stage)
            return stage.result
        await self.runner.scenario(name, staged)
