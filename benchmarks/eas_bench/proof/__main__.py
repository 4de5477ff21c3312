"""Run all of it, say what came out, and put it into the documentation."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from eas_bench import latency, machine, places, record
from eas_bench.client import measure, own_limit
from eas_bench.machine import Cores, running_on
from eas_bench.proof import known, page, rivals
from eas_bench.served import running
from eas_bench.target import Wanted

BODY: Final = b"x" * 64
LARGE: Final = bytes(602_112)
PLANS: Final = {
    "bimodal": {"fast": 0.02, "slow": 0.2, "every": 8, "stall": [0, 0]},
    "stalls": {"fast": 0.005, "slow": 0.005, "every": 8, "stall": [4, 1.5]},
}
_RATE: Final = 200
_SECONDS: Final = 10
_CLOSED: Final = 8


def main() -> int:
    """0; 1: a bar was missed."""
    parser = argparse.ArgumentParser(prog="eas_bench.proof", description="Tests the load tester itself.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of what is compared in turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--update-docs", type=Path, metavar="FILE", help="put a file's figures into the page")
    options = parser.parse_args()
    if options.update_docs:
        page.update(json.loads(options.update_docs.read_text()))
        return 0
    cores = Cores.of_this_process()
    figures = {
        "machine": machine.describe(),
        "pinned": cores.text,
        "rounds": options.rounds,
        "known": {name: _known(plan, cores) for name, plan in PLANS.items()},
        "wrk": _against_wrk(cores, options.rounds),
        "limit": _limits(cores, options.rounds),
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(page.text(figures))  # noqa: T201 - what it is for
    missed = page.missed(figures)
    for each in missed:
        print(f"missed: {each}", file=sys.stderr)  # noqa: T201
    return bool(missed)


def _known(plan: dict[str, Any], cores: Cores) -> dict[str, Any]:
    """What three testers find, and what is so."""
    load = record.Load(
        kind="open", rate=_RATE, arrivals="poisson", connections=1000, duration=_SECONDS, timeout=10
    )
    with running_on(cores.server), known.serving(plan) as server, running_on(cores.load):
        run = measure(Wanted(server.url, bodies=(BODY,)), load)
        true = known.percentiles(known.implied(server.log(), load))
    whole = latency.decoded(run.latency["all"])
    found: dict[str, Any] = {
        "plan": plan,
        "true": true,
        "open": [latency.percentile(whole, percent) for percent in known.PERCENTS],
    }
    with running_on(cores.server), known.serving(plan) as server:
        found["closed"] = asdict(rivals.by_us(Wanted(server.url, bodies=(BODY,)), _CLOSED, _SECONDS, cores))
    with running_on(cores.server), known.serving(plan) as server:
        found["wrk"] = asdict(rivals.by_wrk(Wanted(server.url, bodies=(BODY,)), _CLOSED, _SECONDS, cores))
    return found


def _against_wrk(cores: Cores, rounds: int) -> dict[str, Any]:
    """The engine's echo, asked by both in turns."""
    config = places.PROCESSORS / "echo" / "service.json"
    found: dict[str, Any] = {}
    with running_on(cores.server), running(config) as served:
        headers = (("Authorization", served.token),)
        wanted = Wanted(served.url, bodies=(BODY,), headers=headers)
        rivals.by_us(wanted, 64, 1, cores)
        for connections in (64, 16, 1):
            pairs = [
                (
                    asdict(rivals.by_wrk(wanted, connections, 2, cores)),
                    asdict(rivals.by_us(wanted, connections, 2, cores)),
                )
                for _ in range(rounds)
            ]
            found[str(connections)] = pairs
    return found


def _limits(cores: Cores, rounds: int) -> dict[str, list[float]]:
    load = record.Load(kind="closed", connections=64, duration=1, timeout=10)
    found: dict[str, list[float]] = {"64": [], "602112": []}
    with running_on(cores.load):
        for _ in range(rounds):
            found["64"].append(own_limit(load, BODY))
            found["602112"].append(own_limit(load, LARGE))
    return found


if __name__ == "__main__":
    sys.exit(main())
