"""The command line of Scripts/lab."""
import argparse
import asyncio
import functools
import os
import shutil
import signal
import subprocess
import sys

from LabTests import checks, isolation, scenarios_hostile, scenarios_moving, scenarios_room, scenarios_setup, scenarios_tcp, scenarios_turn
from LabTests.bench import Bench
from LabTests.flushes import flushes
from LabTests.runner import run_all, summary, table
from LabTests.topology import Settings

# What Scripts/test runs, in less than a minute, with a Postern outside too: by rule, in a room, moved, odd, relayed, and the lab itself.
SHORT = ("check/leaves-nothing", "map/relay/room/phone-offers", "S7/nft/flush/postern-offers", "S18/relay/conflict/phone-offers",
         "S15/relay/phone-udp/raw/phone-offers", "S20/relay/crowd")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main():
    options = parsed()
    if options.verb is list_scenarios:
        return list_scenarios()
    if problem := missing(options):
        print(f"!!! THE LAB WAS NOT RUN: {problem}", file=sys.stderr)
        sys.exit(isolation.NOT_ALLOWED)
    if options.verb is shell and options.join:
        join(options)
    options.outer = os.getpid()
    try:
        isolation.enter()
    except isolation.NotAllowed as error:
        print(f"!!! THE LAB WAS NOT RUN: {error}", file=sys.stderr)
        sys.exit(isolation.NOT_ALLOWED)
    try:
        sys.exit(asyncio.run(options.verb(options)) or 0)
    except KeyboardInterrupt:
        sys.exit(130)


def parsed():
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--postern", default=os.path.join(ROOT, ".build", "debug", "postern"), metavar="BINARY")
    common.add_argument("--out", default=os.path.join(ROOT, "out", "lab"), metavar="DIR",
                        help="where packets, events, reports and recordings of each scenario go")
    common.add_argument("--phone", choices=("chromium", "postern"),
                        help="who is outside: chromium, but in `short` and `turn`, where it is postern")
    common.add_argument("--kind", choices=("relay", "nft"), help="the pair, where a scenario leaves it open")
    common.add_argument("--table", metavar="FILE", help="append the table of results, in Markdown")
    parser = argparse.ArgumentParser(prog="Scripts/lab", description="A phone outside, a proxy pair, Postern inside, in "
                                     "network namespaces (Docs/lab.md). Exit 77: namespaces are not allowed here.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name, action, words):
        one = verbs.add_parser(name, help=words, parents=[common])
        one.set_defaults(verb=action)
        return one
    verb("run", run_scenarios, "run scenarios").add_argument(
        "scenario", nargs="+", help="a name of `list`, or the beginning of one up to a /")
    verb("all", run_scenarios, "run all scenarios").set_defaults(scenario=None)
    verb("short", run_short, "the few that Scripts/test runs")
    verb("turn", run_turn, "calls through coturn that take minutes: stale nonces, a server that is killed, every way to end"
         ).add_argument("scenario", nargs="*", help="only these, such as turn/killed")
    verb("list", list_scenarios, "what there is, and what has to hold")
    verb("check", run_checks, "does the lab itself behave").add_argument(
        "scenario", nargs="*", help="only these, such as impairments")
    flush = verb("flush", flushes, "median gap after a mapping flush, both roles, both kinds of pair")
    flush.add_argument("--count", type=int, default=10)
    verb("up", up, "bring the lab up and wait")
    one = verb("shell", shell, "a shell in a namespace of a lab of its own")
    one.add_argument("namespace", nargs="?", default="phone")
    one.add_argument("--join", type=int, metavar="PID", help="of the lab with this process number (of `up`) instead")
    for one in (verbs.choices["up"], one):
        for field, kind in (("--offset", int), ("--idle", float), ("--loss", float), ("--delay", float),
                            ("--jitter", float), ("--rate", float), ("--max-flows", int), ("--tcp-idle", float)):
            one.add_argument(field, type=kind)
        one.add_argument("--inside", choices=("pc", "server"))
        one.add_argument("--pool-proto", choices=("udp", "tcp", "both"))
        one.add_argument("--egress", choices=("reject", "prohibit", "drop", "noroute"))
        one.add_argument("--phone-nat", choices=("none", "cone", "fullcone", "symmetric"))
        one.add_argument("--ipv6", choices=("none", "both", "only"))
        one.add_argument("--idle-direction", choices=("both", "client"))
        one.add_argument("--overflow", choices=("reject", "evict"))
    options = parser.parse_args()
    options.phone = options.phone or ("postern" if options.verb in (run_short, run_turn) else "chromium")
    options.has = functools.partial(has, options.postern)
    return options


@functools.cache
def has(postern, verb, flag):
    """Whether this Postern knows a flag."""
    return flag + " " in subprocess.run([postern, verb, "--help"], capture_output=True, text=True, timeout=30).stdout


def missing(options):
    for program, package in (("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")):
        if not shutil.which(program):
            return f"no {program}; apt-get install {package}"
    if options.verb not in (run_checks, up, shell):
        if not os.access(options.postern, os.X_OK):
            return f"no {options.postern}; swift build --product postern"
        if options.phone == "chromium" and not shutil.which("chromium"):
            return "no chromium; apt-get install chromium, or --phone postern"
    return None


def everything():
    for module in (scenarios_setup, scenarios_moving, scenarios_hostile, scenarios_room, scenarios_tcp, scenarios_turn):
        yield from module.all_scenarios()


def matching(scenarios, names):
    chosen = [s for s in scenarios if any(s.name == name or s.name.startswith(name.rstrip("/") + "/") for name in names)]
    unknown = [n for n in names if not any(s.name == n or s.name.startswith(n.rstrip("/") + "/") for s in scenarios)]
    if unknown:
        print(f"Scripts/lab: no scenario {', '.join(unknown)}; see Scripts/lab list", file=sys.stderr)
        sys.exit(64)
    return chosen


def list_scenarios(*_):
    for scenario in everything():
        print(f"{scenario.name:48} {scenario.passes}")


async def run_scenarios(options):
    scenarios = list(everything())
    return await told(matching(scenarios, options.scenario) if options.scenario else scenarios, options)


async def run_checks(options):
    scenarios = list(checks.all_checks())
    return await told(matching(scenarios, ["check/" + s.removeprefix("check/") for s in options.scenario])
                      if options.scenario else scenarios, options)


async def run_turn(options):
    scenarios = list(scenarios_turn.long_scenarios())
    return await told(matching(scenarios, options.scenario) if options.scenario else scenarios, options)


async def run_short(options):
    return await told([s for s in [*checks.all_checks(), *everything()] if s.name in SHORT], options)


async def told(scenarios, options):
    results = await run_all(scenarios, options)
    text = table(scenarios, results)
    if options.table:
        with open(options.table, "a") as file:
            file.write(text + "\n")
    print("\n" + text + "\n\n" + summary(results))
    return 1 if any(r.state == "FAIL" for r in results) or not results else 0


def settings(options):
    fields = {f: getattr(options, f) for f in Settings.__dataclass_fields__ if getattr(options, f, None) is not None}
    return Settings(**fields)


async def up(options):
    async with Bench(settings(options), os.path.join(options.out, "up")) as bench:
        # The number that `shell --join` takes is the one the machine knows this lab by: of the process that waits for it.
        print(f"the lab is up: {', '.join(bench.spaces.spaces)}; Scripts/lab shell phone --join {options.outer}; "
              "Ctrl-C ends it", flush=True)
        await asyncio.Event().wait()


async def shell(options):
    if options.namespace not in ("inet", "phone", "phone2", "pnat", "front", "back", "lan", "server", "pc"):
        print(f"Scripts/lab: no namespace {options.namespace}", file=sys.stderr)
        return 64
    async with Bench(settings(options), os.path.join(options.out, "shell")) as bench:
        print(f"namespaces: {', '.join(bench.spaces.spaces)}; `ip netns exec NAME …` reaches the others; exit ends the lab",
              file=sys.stderr)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process = await asyncio.create_subprocess_exec(
            *bench.spaces[options.namespace].command(os.environ.get("SHELL", "/bin/sh")),
            env=dict(os.environ, debian_chroot=options.namespace))
        return await process.wait()


def join(options):
    """Enters a lab that is up: its world's process 1 is the child of the process named."""
    try:
        with open(f"/proc/{options.join}/task/{options.join}/children") as file:
            inner = file.read().split()[0]
    except (OSError, IndexError):
        print(f"Scripts/lab: {options.join} is no lab that is up", file=sys.stderr)
        sys.exit(64)
    os.execvp("nsenter", ["nsenter", "--target", inner, "--mount", "--net", "--pid", "ip", "netns", "exec",
                          options.namespace, os.environ.get("SHELL", "/bin/sh")])
