"""Latency when requests come at a fixed rate that both sides can hold: what users of a service see.

The rate is a share of what the engine did in the closed loop, and no more than a share of what the generator
can do by itself; requests come independently of each other (Poisson), and latency counts from the moment at
which each was due.
"""

from __future__ import annotations

from typing import Final

from eas_bench import client, record
from eas_bench.latency import decoded, percentile
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.files import OpenLoop
from eas_bench.scenarios.setting import SMALL, Result, Setting
from eas_bench.servers import Target
from eas_bench.target import Wanted

EASY: Final = 0.6  # of the generator's own limit: what it makes in time
_TIMEOUT: Final = 10.0
_SIDES: Final = ("reference", "engine")


def wanted(target: Target, *bodies: bytes) -> Wanted:
    """The same requests as the other clients send. The token goes where records don't look."""
    fields = dict(header.split(": ", 1) for header in target.headers)
    token = fields.pop("Authorization", "")
    return Wanted(url=target.url, headers=tuple(fields.items()), bodies=bodies, token=token)


def measure(load: OpenLoop, setting: Setting, rate: float, targets: tuple[Target, Target]) -> Result:
    """Reference and engine in turns at ``rate`` requests a second. Errors: NotMeasured."""
    result, runs = Result(), []
    asked = record.Load(
        kind="open",
        rate=load.share * rate,
        arrivals="poisson",
        connections=load.connections,
        duration=setting.seconds,
        warm_up=0.5,
        timeout=_TIMEOUT,
    )
    limit = client.own_limit(asked, SMALL)
    asked = asked.model_copy(update={"rate": min(load.share * rate, EASY * limit)})
    setting.tell(f"open loop at {asked.rate:,.0f}/s; the generator itself could do {limit:,.0f}/s")
    for number in range(setting.rounds):
        pair = [client.whole(client.measure(wanted(target, SMALL), asked, limit=limit)) for target in targets]
        runs.append(pair)
        words = ", ".join(
            f"{side} p50 {latency(run, 50):.3f} p99 {latency(run, 99):.3f} ms"
            for side, run in zip(_SIDES, pair, strict=True)
        )
        setting.tell(f"open loop, round {number + 1} of {setting.rounds}: {words}")
    engines = [engine for _, engine in runs]
    errors = sum(run.errors for run in engines)
    faults = [f"{errors} requests of the engine failed in the open loop"] if errors else []
    doubts = [reason for run in engines for reason in run.generator.invalid][:1]
    for percent in (50, 99):
        samples = [latency(run, percent) for run in engines]
        result.figures[f"open-p{percent}"] = Measured(samples=samples, faults=faults, doubts=doubts)
    result.raw["open"] = {
        "rate": asked.rate,
        "generator_limit": limit,
        "arrivals": asked.arrivals,
        **{side: [_kept(pair[at]) for pair in runs] for at, side in enumerate(_SIDES)},
    }
    return result


def latency(run: record.Run, percent: float) -> float:
    """In milliseconds; 0 when nothing was answered."""
    return percentile(decoded(run.latency["all"]), percent) / 1000


def _kept(run: record.Run) -> dict[str, object]:
    return {
        "answers": run.answers,
        "errors": run.errors,
        **{f"p{percent}_ms": latency(run, percent) for percent in (50, 90, 99, 99.9)},
        "late_p99_ms": run.generator.late_p99 / 1000,
        "invalid": run.generator.invalid,
    }
