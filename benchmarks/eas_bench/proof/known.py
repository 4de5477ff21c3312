"""What a load tester must find, computed from the server's own record of when it answered whom."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eas_bench import places, record, schedule
from eas_bench.servers import NotServing, get

PERCENTS: Final = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs."""

    port: int

    @property
    def url(self) -> str:
        """Of everything but the log."""
        return f"http://127.0.0.1:{self.port}/"

    def log(self) -> list[tuple[int, int]]:
        """When each request came and when it was answered, in ns of the monotonic clock."""
        _, body = get(self.port, "/log")
        return [(came, answered) for came, answered in json.loads(body) if answered]


@contextlib.contextmanager
def serving(plan: dict[str, Any]) -> Iterator[Server]:
    """``reference.known`` with this plan. Raises NotServing."""
    command = [sys.executable, "-m", "reference.known", json.dumps(plan)]
    process = subprocess.Popen(
        command, cwd=places.BENCHMARKS, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker
    try:
        words = process.stdout.readline().split()
        if len(words) != 2 or words[0] != b"listening":
            raise NotServing("reference.known didn't start")
        yield Server(int(words[1]))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def implied(log: Sequence[tuple[int, int]], load: record.Load) -> list[int]:
    """The latencies of an open load's requests, in microseconds from when each was due.

    Requests come in the order in which they are due. The load began at the moment that follows from the request
    that was on its way for the shortest time.
    """
    moments = [moment for chunk in schedule.send_times(load) for moment in chunk]
    if len(moments) != len(log):
        raise ValueError(f"{len(log)} requests were answered, {len(moments)} were due")
    began = min(came - moment for (came, _), moment in zip(log, moments, strict=True))
    return [(answered - began - moment) // 1000 for (_, answered), moment in zip(log, moments, strict=True)]


def percentiles(values: Sequence[int]) -> list[int]:
    """Those of ``PERCENTS``: the smallest value that so many don't exceed."""
    ascending = sorted(values)
    ranks = [math.ceil(percent * len(ascending) / 100 - 1e-9) for percent in PERCENTS]  # 999, not 999.0000001
    return [ascending[max(rank, 1) - 1] for rank in ranks]


def apart(found: Sequence[float], true: Sequence[float]) -> list[float]:
    """By which share each differs."""
    return [abs(one - other) / other for one, other in zip(found, true, strict=True)]
