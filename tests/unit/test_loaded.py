"""What an engine of a service that asks for little doesn't load: modules cost its start and its memory."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = "import sys, eas_engine.service, eas_engine.telemetry.exposition\nprint(*sys.modules)"
RARE = [
    "eas_engine.devices.nvml",  # where there are cards
    "eas_engine.devices.watch",
    "eas_engine.objective",  # a canary's
    "eas_engine.spec.schedules",  # autoscaler.scaleJobs
    "eas_engine.supervisor.pools.rebalance",  # several pools
    "eas_engine.workers.quarantine",  # rpc.retry_on_crash
]


def test_both_planes_load_nothing_that_few_services_ask_for() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "eas_engine.devices" in loaded
    assert not set(RARE) & set(loaded)
