"""The load tester against servers whose latencies are known, over real sockets.

What is expected comes from the server's own record of when it answered, so a slow machine is slow on both
sides. Latencies are so long that what lies between the two (a process that is woken) is little.
"""

from __future__ import annotations

from typing import Any

import pytest

from eas_bench import latency, record
from eas_bench.client import measure
from eas_bench.proof import known
from eas_bench.target import Wanted

BIMODAL = {"fast": 0.5, "slow": 1.5, "every": 8, "stall": [0, 0]}
STALLS = {"fast": 0.3, "slow": 0.3, "every": 10, "stall": [3, 3]}


@pytest.mark.parametrize("plan", [BIMODAL, STALLS], ids=["bimodal", "stalls"])
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_percentiles_are_right_within_two_percent(plan: dict[str, Any], arrivals: str) -> None:
    load = record.Load.model_validate(
        {
            "kind": "open",
            "rate": 40,
            "arrivals": arrivals,
            "connections": 1000,
            "duration": 10,
            "timeout": 60,
            "seed": 5,
        }
    )
    with known.serving(plan) as server:
        run = measure(Wanted(server.url, bodies=(b"hello",)), load)
        expected = known.percentiles(known.implied(server.log(), load))
    whole = latency.decoded(run.latency["all"])
    found = [latency.percentile(whole, percent) for percent in known.PERCENTS]
    assert max(known.apart(found, expected)) < 0.02, (found, expected)


def test_a_closed_loop_doesnt_see_the_stall() -> None:
    load = record.Load(kind="closed", connections=4, duration=10, timeout=60)
    with known.serving({**STALLS, "fast": 0.02, "slow": 0.02}) as server:
        run = measure(Wanted(server.url, bodies=(b"hello",)), load)
    whole = latency.decoded(run.latency["all"])
    assert latency.percentile(whole, 90) < 1_000_000 < whole.get_max_value()
