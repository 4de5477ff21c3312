"""Bodies of all sizes and shapes at once, in batches, and every answer checked.

Figures: ``wrong``, answers that weren't what the body's own sums say; ``failed``, requests with another end
than a good answer; both in all rounds together. ``rate``: good answers a second; ``p99``: of all answers, in
ms.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from eas_bench import client, record, servers, watch
from eas_bench.scenarios import opened
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.files import Shapes
from eas_bench.scenarios.setting import WARM, Result, Setting

_SEED = 6
_TIMEOUT = 30.0


def measure(scenario: Shapes, setting: Setting) -> Result:
    """Run it. Errors: as ``turns.measure``; NotMeasured."""
    result, runs = Result(), []
    bodies = [matrix(rows, columns) for rows, columns in scenario.shapes]
    load = record.Load(
        kind="closed",
        connections=scenario.connections,
        duration=setting.seconds,
        warm_up=WARM,
        timeout=_TIMEOUT,
    )
    with (
        servers.engine(setting.launch(setting.cores.server), scenario.processor, result.faults) as engine,
        watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY) as scrapes,
    ):
        for body in bodies:
            engine.target.expect(body, sums(body))
        wanted, checking = opened.wanted(engine.target, *bodies), checks(bodies)
        for number in range(setting.rounds):
            runs.append(client.whole(client.measure(wanted, load, checking=checking)))
            setting.tell(f"round {number + 1} of {setting.rounds}: {_told(runs[-1])}")
    result.figures = figures(runs, scrapes.faults)
    result.raw = {
        "shapes": scenario.shapes,
        "rounds": [
            {
                "statuses": run.tally.statuses,
                "failures": run.tally.failures,
                "rate": run.good / run.seconds,
                "p99_ms": opened.latency(run, 99),
            }
            for run in runs
        ],
    }
    return result


def matrix(rows: int, columns: int) -> bytes:
    """A body for ``processors/shapes``; always the same."""
    values = random.Random(f"{_SEED} {rows} {columns}").randbytes(rows * columns * 4)  # noqa: S311 - as `noise`
    return struct.pack("<II", rows, columns) + values


def sums(body: bytes) -> bytes:
    """What must be answered to it."""
    rows, columns = struct.unpack_from("<II", body)
    values = struct.unpack_from(f"<{rows * columns}i", body, 8)
    told = (sum(values[row * columns : (row + 1) * columns]) for row in range(rows))
    return body[:8] + b"".join((one & 0xFFFFFFFF).to_bytes(4, "little") for one in told)


def checks(bodies: list[bytes]) -> Callable[[bytes, bytes], str | None]:
    """What is wrong with an answer to one of them."""
    right = {body: sums(body) for body in bodies}

    def check(body: bytes, answer: bytes) -> str | None:
        if answer == right[body]:
            return None
        rows, columns = struct.unpack_from("<II", body)
        return f"{len(answer)} bytes to {rows} x {columns} begin with {answer[:16].hex()}"

    return check


def figures(runs: list[record.Run], faults: list[str]) -> dict[str, Measured]:
    """Of all rounds."""
    wrong = sum(run.tally.failures.get("wrong", 0) for run in runs)
    failed = sum(run.errors for run in runs) - wrong
    said = [note for run in runs for note in run.notes if note.startswith("wrong")]
    return {
        "wrong": Measured(samples=[float(wrong)], faults=said[:3]),
        "failed": Measured(samples=[float(failed)]),
        "rate": Measured(samples=[run.good / run.seconds for run in runs], faults=faults),
        "p99": Measured(samples=[opened.latency(run, 99) for run in runs], faults=faults),
    }


def _told(run: record.Run) -> str:
    p99 = opened.latency(run, 99)
    return f"{run.good / run.seconds:,.0f} good answers/s, {run.errors} others, p99 {p99:.1f} ms"
