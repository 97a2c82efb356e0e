"""Runs scenarios one after another and tells of them in a table."""
import asyncio
import dataclasses
import functools
import os
import shutil
import sys
import time
import traceback

from LabTests.bench import Bench
from LabTests.call import Call, Rewriter
from LabTests.peers import Browser, PosternPeer
from LabTests.topology import FRONT, Settings


class Skip(Exception):
    """The scenario cannot be run here; the words say why."""


@dataclasses.dataclass
class Scenario:
    name: str            # S7/relay/flush/phone-offers
    passes: str          # what has to hold
    body: object         # async (Context) -> None
    limit: float = 150


@dataclasses.dataclass
class Result:
    name: str
    phone: str
    state: str           # PASS, FAIL, SKIPPED
    checks: list
    took: float


class Context:
    """What a scenario works with: it makes benches and calls, and is told what held."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.checks, self.open_calls = [], []

    # -- building

    def bench(self, **settings):
        if self.options.kind:
            settings["kind"] = self.options.kind
        return Bench(Settings(**settings), self.folder)

    async def browser(self, bench, namespace="phone", grants_media=True):
        """Chromium in a namespace, ended with the bench."""
        browser = await Browser(bench.spaces[namespace], os.path.join(self.folder, "chromium-" + namespace),
                                grants_media).start()
        bench.closing.append(browser.stop)
        return browser

    async def phone(self, bench, name="phone", number=0, mdns=False, arguments=(), browser=None, kind=None, **options):
        """A phone as asked for with --phone."""
        if (kind or self.options.phone) == "chromium":
            browser = browser or await self.browser(bench, name, not mdns)
            return browser.page(f"call{number}", **options)
        if mdns:
            raise Skip("mDNS candidates need --phone chromium")
        return PosternPeer(self.options.postern, bench.spaces[name], os.path.join(self.folder, f"{name}{number or ''}"),
                           arguments)

    def inside(self, bench, number=0, arguments=(), **options):
        """Postern inside, on the ports of the pool."""
        first, last = bench.settings.pool
        arguments = list(arguments)
        if "--port-range" not in arguments and "--udp-port" not in arguments:
            arguments = ["--port-range", f"{first}-{last}"] + arguments
        return PosternPeer(self.options.postern, bench.spaces[bench.settings.inside],
                           os.path.join(self.folder, f"inside{number or ''}"), arguments, **options)

    def postern(self, bench, namespace, arguments=(), **options):
        """Postern in any namespace, on ports of its own."""
        return PosternPeer(self.options.postern, bench.spaces[namespace], os.path.join(self.folder, "inside"), arguments,
                           **options)

    async def call(self, bench, offerer="phone", rewrite=None, phone_candidates="none", phone=None, inside=None,
                   ends=True, **rest):
        """A call, started and not yet waited for."""
        rewriter = Rewriter(bench.settings, bench.inside, rewrite or "front", phone_candidates, ends=ends)
        call = Call(phone or await self.phone(bench), inside or self.inside(bench), offerer, rewriter, **rest)
        self.open_calls.append(call)
        # Before the phone's browser and the wires go.
        bench.closing.append(functools.partial(self.hang_up, call))
        await call.start()
        return call

    async def hang_up(self, call):
        if call in self.open_calls:
            self.open_calls.remove(call)
            await call.close()

    # -- telling

    def check(self, what, held, figure=""):
        self.checks.append((what, bool(held), str(figure)))
        return bool(held)

    def note(self, what, figure):
        """A figure without a limit."""
        self.checks.append((what, True, str(figure)))


async def run(scenario, options):
    folder = os.path.join(os.path.abspath(options.out), scenario.name.replace("/", "-"))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    context, start, state = Context(options, folder), time.monotonic(), None
    try:
        await asyncio.wait_for(scenario.body(context), scenario.limit)
    except Skip as reason:
        state = "SKIPPED"
        context.checks = [(str(reason), True, "")]
    except Exception as error:
        with open(os.path.join(folder, "exception"), "w") as file:
            traceback.print_exc(file=file)
        context.check("ran to its end", False, f"{type(error).__name__}: {error}")
    for call in context.open_calls:
        try:
            await call.close()
        except Exception:
            pass
    held = bool(context.checks) and all(held for _, held, _ in context.checks)
    return Result(scenario.name, options.phone, state or ("PASS" if held else "FAIL"), context.checks,
                  time.monotonic() - start)


async def run_all(scenarios, options):
    results = []
    for scenario in scenarios:
        result = await run(scenario, options)
        results.append(result)
        print(f"{result.state:7} {result.name}  (phone: {result.phone}, {result.took:.0f} s)")
        for what, held, figure in result.checks:
            print(f"        {'ok ' if held else 'NOT'} {what}{': ' + figure if figure else ''}")
        sys.stdout.flush()
    return results


def table(scenarios, results):
    """The rows in Markdown."""
    passes = {scenario.name: scenario.passes for scenario in scenarios}
    lines = ["| scenario | phone | has to hold | result | seen |", "|---|---|---|---|---|"]
    for result in results:
        seen = "; ".join((f"{what}: {figure}" if figure else what) if held else f"**{what}: {figure}**"
                         for what, held, figure in result.checks)
        state = result.state if result.state == "PASS" else f"**{result.state}**"
        lines.append(f"| {result.name} | {result.phone} | {passes[result.name]} | {state} | {seen.replace('|', '/')} |")
    return "\n".join(lines)


def summary(results):
    counts = {state: len([r for r in results if r.state == state]) for state in ("PASS", "FAIL", "SKIPPED")}
    lines = [f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIPPED']} skipped"]
    lines += [f"!!! {r.state}: {r.name}: " + "; ".join(f"{w}: {f}".strip(": ") for w, held, f in r.checks
                                                      if not held or r.state == "SKIPPED")
              for r in results if r.state != "PASS"]
    return "\n".join(lines)


__all__ = ["Context", "FRONT", "Result", "Scenario", "Skip", "run", "run_all", "summary", "table"]
