"""The command line of Scripts/lab."""
import argparse
import asyncio
import os
import sys

from LabTests import isolation
from LabTests.runner import run_all, summary, table

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def main():
    options = parsed()
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
    parser = argparse.ArgumentParser(prog="Scripts/lab", description=__doc__)
    parser.add_argument("--postern", default=os.path.join(ROOT, ".build", "debug", "postern"))
    parser.add_argument("--out", default=os.path.join(ROOT, "out", "lab"))
    parser.add_argument("--phone", choices=("chromium", "postern"), default="chromium")
    parser.add_argument("--kind", choices=("relay", "nft"))
    parser.add_argument("--table", metavar="FILE")
    verbs = parser.add_subparsers(required=True)
    run = verbs.add_parser("run")
    run.add_argument("scenario", nargs="+")
    run.set_defaults(verb=run_scenarios)
    return parser.parse_args()


def chosen(names):
    from LabTests import scenarios_setup
    everything = [*scenarios_setup.all_scenarios()]
    found = [s for s in everything if any(s.name == n or s.name.startswith(n + "/") for n in names)]
    return found


async def run_scenarios(options):
    scenarios = chosen(options.scenario)
    results = await run_all(scenarios, options)
    print(table(scenarios, results))
    print(summary(results))
    return 1 if any(r.state == "FAIL" for r in results) or not results else 0
