"""When many instances are ready: counted by what the engine says of each."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest

from eas_bench import servers
from eas_bench.scenarios.starts import wait_instances
from eas_bench.servers import NotServing


class Engine(servers.Engine):
    """Says so much, one after the other; the last for ever."""

    def __init__(self, *said: Sequence[str] | int) -> None:
        self.began = time.monotonic()
        self.said = list(said)
        self.asked = 0

    def wait_ready(self) -> None:
        pass

    def admin(self, path: str) -> tuple[int, bytes]:
        assert path == "/api/v1/instances"
        self.asked += 1
        said = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(said, int):
            return said, b""
        return 200, json.dumps({"instances": [{"state": one} for one in said]}).encode()


def test_it_waits_for_all_of_them() -> None:
    engine = Engine([], ["READY", "STARTING"], ["READY", "WARMING"], ["READY", "READY"])
    assert wait_instances(engine, 2) >= 0.06
    assert engine.asked == 4


def test_an_engine_that_does_not_say_ends_the_measurement() -> None:
    with pytest.raises(NotServing, match="answers 503"):
        wait_instances(Engine(["READY"], 503), 2)


def test_too_few_for_too_long_end_it_too() -> None:
    engine = Engine(["READY"])
    engine.began -= servers.READY_WITHIN
    with pytest.raises(NotServing, match="1 of 2 instances are ready"):
        wait_instances(engine, 2)
