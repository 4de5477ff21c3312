"""Records of runs without a server: the same each time, with histograms and intervals that agree."""

from __future__ import annotations

import math
import random
from typing import Any

from hdrh.histogram import HdrHistogram

from eas_bench import latency
from eas_bench.record import Asked, Card, Generator, Interval, Load, Process, Reading, Run, Tally

BODY = 64
ANSWER = 180  # bytes, head and all


def a_run(
    *,
    rate: float = 200,
    seconds: int = 10,
    median_us: float = 2000,
    spread: float = 0.4,
    refused: float = 0.02,
    lost: float = 0.001,
    instances: int = 2,
    seed: int = 1,
    **changes: Any,
) -> Run:
    """``rate`` a second, latencies log-normal, a share ``refused`` with 450 and a share ``lost`` in timeouts.

    ``changes`` are fields of Run, as they shall be.
    """
    chance = random.Random(seed)
    statuses: dict[str, HdrHistogram] = {}
    intervals = [
        _interval(
            second,
            statuses,
            [_end(chance, refused, lost) for _ in range(round(rate))],
            chance,
            (median_us, spread),
        )
        for second in range(seconds)
    ]
    whole = {"all": latency.merged(statuses), **statuses}
    fields: dict[str, Any] = {
        "title": "echo, 64 B",
        "taken": "2026-11-29T02:05:00Z",
        "machine": {
            "cpu": "Some CPU at 2.5 GHz",
            "cores": "2",
            "memory_mb": "8000",
            "kernel": "6.1",
            "python": "3.12.1",
        },
        "versions": {"eas-engine": "0.1.0", "eas-bench": "0.1.0"},
        "asked": Asked(
            url="http://127.0.0.1:8080/api/predict/echo", body_bytes=[BODY], authentication="token"
        ),
        "load": Load(
            kind="open",
            rate=rate,
            arrivals="constant",
            connections=64,
            duration=seconds,
            warm_up=1,
            timeout=5,
        ),
        "seconds": seconds,
        "tally": added([interval.tally for interval in intervals]),
        "latency": {key: latency.encoded(histogram) for key, histogram in whole.items()},
        "intervals": intervals,
        "generator": Generator(limit=52_000, late_p99=180, cpu_seconds=0.05 * seconds),
        "readings": [_reading(second, rate, instances) for second in range(seconds + 1)],
    }
    return Run(**{**fields, **changes})


def a_curve(
    rates: tuple[float, ...] = (50, 100, 200, 300, 400), holds: float = 320, **changes: Any
) -> list[Run]:
    """Runs at rising rates against a server that holds ``holds`` a second: slower, then refusing."""
    runs = []
    for rate in rates:
        busy = min(rate / holds, 0.97)
        refused = max(0.0, 1 - holds / rate)
        runs.append(
            a_run(
                rate=rate,
                median_us=1500 / (1 - busy),
                refused=refused,
                **{"title": f"{rate:.0f}/s", **changes},
            )
        )
    return runs


def without_answers(**changes: Any) -> Run:
    """Nobody listened: every request was refused by the system."""
    tally = Tally(sent=100, statuses={}, failures={"refused": 100}, bytes_sent=0, bytes_received=0)
    intervals = [
        Interval(
            start=second,
            seconds=1,
            tally=tally.model_copy(update={"sent": 50, "failures": {"refused": 50}}),
            latency=None,
        )
        for second in range(2)
    ]
    empty = {"all": latency.encoded(latency.empty())}
    gone = {"tally": tally, "intervals": intervals, "latency": empty, "readings": []}
    return a_run(seconds=2, **{**gone, **changes})


def added(tallies: list[Tally]) -> Tally:
    """All of them together."""
    statuses: dict[str, int] = {}
    failures: dict[str, int] = {}
    for tally in tallies:
        for key, count in tally.statuses.items():
            statuses[key] = statuses.get(key, 0) + count
        for key, count in tally.failures.items():
            failures[key] = failures.get(key, 0) + count
    return Tally(
        sent=sum(tally.sent for tally in tallies),
        statuses=statuses,
        failures=failures,
        bytes_sent=sum(tally.bytes_sent for tally in tallies),
        bytes_received=sum(tally.bytes_received for tally in tallies),
    )


def _end(chance: random.Random, refused: float, lost: float) -> str:
    drawn = chance.random()
    return "timeout" if drawn < lost else "450" if drawn < lost + refused else "200"


def _interval(
    second: int,
    statuses: dict[str, HdrHistogram],
    ends: list[str],
    chance: random.Random,
    shape: tuple[float, float],
) -> Interval:
    median, spread = shape
    here = latency.empty()
    for end in ends:
        if end == "timeout":
            continue
        took = chance.lognormvariate(math.log(median if end == "200" else median / 5), spread)
        us = max(1, min(round(took), 4_900_000))
        here.record_value(us)
        statuses.setdefault(end, latency.empty()).record_value(us)
    failures = {"timeout": ends.count("timeout")} if "timeout" in ends else {}
    counted: dict[str, int] = {status: ends.count(status) for status in ("200", "450") if status in ends}
    tally = Tally(
        sent=len(ends),
        statuses=counted,
        failures=failures,
        bytes_sent=len(ends) * (BODY + 150),
        bytes_received=sum(counted.values()) * ANSWER,
    )
    return Interval(start=second, seconds=1, tally=tally, latency=latency.summary(here))


def _card(number: int, second: int) -> Card:
    """Of two that are alike; the second one is hot."""
    return Card(
        uuid=f"GPU-{number}",
        name="NVIDIA Scripted 100",
        memory_bytes=20e9 + 1e9 * number,
        memory_total_bytes=80e9,
        utilization=0.5 + 0.25 * number,
        watts=300 + second,
        celsius=60 + 20 * number,
        clock_hertz=1.98e9,
        throttles=["sw_thermal_slowdown"] * number,
        xid_errors=2,
    )


def _reading(second: int, rate: float, instances: int) -> Reading:
    done = rate * second
    wave = 1 + 0.3 * math.sin(second / 2)
    return Reading(
        at=second,
        requests={
            "request_seconds_sum": done * 0.0022,
            "request_seconds_count": done,
            "queue_seconds_sum": done * 0.0009,
            "queue_seconds_count": done,
            "batch_wait_seconds_sum": done * 0.0003,
            "batch_wait_seconds_count": done,
            "process_seconds_sum": done * 0.0012,
            "process_seconds_count": done,
        },
        cards=[_card(number, second) for number in range(2)],
        gauges={"queue_depth": round(4 * wave), "in_flight": round(6 * wave), "instances_ready": instances},
        processes=[
            Process(
                name="engine",
                pid=100,
                cpu_seconds=0.3 * second,
                memory_bytes=55_000_000,
                threads=6,
                descriptors=80,
            ),
            *(
                Process(
                    name=f"echo-{number}",
                    pid=101 + number,
                    cpu_seconds=(0.2 + 0.05 * number) * second,
                    memory_bytes=30_000_000 + 100_000 * second,
                    threads=5,
                    descriptors=20,
                )
                for number in range(instances)
            ),
        ],
    )
