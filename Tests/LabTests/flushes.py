"""`Scripts/lab flush`: how long media is away after the pair forgot its mappings, many times over."""
import math
import os
import random

from LabTests.disturbance import disturbed
from LabTests.measure import median, seconds
from LabTests.runner import Scenario, run
from LabTests.scenarios_moving import standing


async def flushes(options):
    """One call a role and kind of pair, `--count` flushes in each, at times unrelated to anybody's timers."""
    rows, good = [], True
    for kind in [options.kind] if options.kind else ["relay", "nft"]:
        for role in ("phone", "postern"):
            gaps, facts = [], {}

            async def body(context, kind=kind, role=role, gaps=gaps, facts=facts):
                source = random.Random(4)
                async with context.bench(kind=kind) as bench:
                    call = await standing(context, bench, role)
                    for _ in range(options.count):
                        gaps.append(await disturbed(bench, bench.flush, 4.5 + source.random() * 2))
                    facts["chromium"] = call.phone.name == "chromium" and (await call.phone.stats())["video_in"]
                    await context.hang_up(call)
                    facts["frames"] = call.decoded_by_phone(), call.decoded_inside()
            result = await run(Scenario(f"flush/{kind}/{role}-offers", "", body, 60 + options.count * 8), options)
            worst = [gap.worst for gap in gaps]
            middle = median(worst) if len(worst) == options.count else math.inf
            held = middle <= 3 and not any(gap.handshakes for gap in gaps)
            good = good and held and result.state != "FAIL"
            rows.append(f"| {kind} | {role} | {options.phone} | {seconds(middle)} | {seconds(max(worst, default=math.inf))} | "
                        f"{', '.join(seconds(w) for w in worst)} | {sum(g.handshakes for g in gaps)} | "
                        f"{'PASS' if held else '**FAIL**'} |")
            print(f"{'PASS' if held else 'FAIL'} {kind} {role} offers: median {seconds(middle)}; "
                  f"into/out: {'; '.join(map(str, gaps))}; frames {facts.get('frames')}", flush=True)
            if result.state == "FAIL":
                print("     " + "; ".join(f"{w}: {f}" for w, held, f in result.checks if not held), flush=True)
    text = "\n".join(["| pair | offers | phone | median gap | longest | each (the longer of both ways) | DTLS packets | result |",
                      "|---|---|---|---|---|---|---|---|", *rows])
    print("\n" + text)
    if options.table:
        os.makedirs(os.path.dirname(os.path.abspath(options.table)), exist_ok=True)
        with open(options.table, "a") as file:
            file.write(text + "\n")
    return 0 if good else 1
