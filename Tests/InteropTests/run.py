"""Runs the scenarios and prints the table. Called by Scripts/interop."""
import argparse
import asyncio
import importlib
import os
import shutil
import sys
import time
import traceback


async def main():
    parser = argparse.ArgumentParser(prog="Scripts/interop")
    parser.add_argument("--postern", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--only", default="", help="run scenarios whose name contains one of these, separated by |")
    parser.add_argument("--seconds", type=int, default=20, help="length of a whole call in the room, in seconds (6 is short)")
    parser.add_argument("--markdown", help="append the result table here")
    parser.add_argument("peers", nargs="*")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    results, missing = [], []
    for name in options.peers:
        suite = importlib.import_module("suite_" + name)
        problem = suite.missing()
        if problem:
            missing.append((name, problem))
            print(f"\n!!! {name} IS MISSING: {problem}: its scenarios were NOT run\n", file=sys.stderr)
            continue
        await suite.run(Runner(name, suite.version(), options, results))
    table = render(results)
    print("\n" + table)
    if options.markdown:
        with open(options.markdown, "a") as file:
            file.write(table + "\n")
    for name, problem in missing:
        print(f"!!! {name} IS MISSING: {problem}", file=sys.stderr)
    failed = [r for r in results if not r["passed"]]
    print(f"{len(results) - len(failed)} of {len(results)} scenarios passed")
    sys.exit(1 if failed or missing or not results else 0)


class Runner:
    def __init__(self, peer, version, options, results):
        self.peer, self.version, self.options, self.results = peer, version, options, results

    def wants(self, name):
        return any(part in name for part in self.options.only.split("|"))

    async def scenario(self, name, body):
        """`body(folder)` gives a finished Call with its checks."""
        if not self.wants(name):
            return
        folder = os.path.join(os.path.abspath(self.options.out), self.peer, name.replace(" ", "-"))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        start = time.monotonic()
        try:
            call = await asyncio.wait_for(body(folder), 150)
            checks = call.checks
        except Exception as error:
            with open(os.path.join(folder, "exception"), "w") as file:
                traceback.print_exc(file=file)
            checks = [("ran", False, f"{type(error).__name__}: {error}")]
        passed = bool(checks) and all(held for _, held, _ in checks)
        self.results.append({"peer": self.version, "name": name, "passed": passed, "checks": checks})
        print(f"{'pass' if passed else 'FAIL'}  {self.peer}: {name}  ({time.monotonic() - start:.0f} s)")
        for what, held, figure in checks:
            print(f"      {'ok ' if held else 'NOT'} {what}: {figure}")
        sys.stdout.flush()


def render(results):
    rows = ["| peer | scenario | result | figures |", "|---|---|---|---|"]
    for result in results:
        figures = "; ".join(
            (f"{what}: {figure}" if figure and held else what if held else f"**{what}: {figure}**")
            for what, held, figure in result["checks"])
        rows.append(f"| {result['peer']} | {result['name']} | {'pass' if result['passed'] else '**FAIL**'} | "
                    f"{figures.replace('|', '/')} |")
    return "\n".join(rows)


asyncio.run(main())
