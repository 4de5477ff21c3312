"""What generator processes tell is heard to its end, in whatever order it comes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from eas_bench.client import measuring
from eas_bench.client.measuring import NotMeasured, Sheets


@pytest.fixture
def gone() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has ended without a word."""
    with subprocess.Popen([sys.executable, "-c", ""], stderr=subprocess.PIPE) as child:
        child.wait()
        yield child


def told(*words: tuple[int, dict[str, Any]]) -> SimpleQueue[tuple[int, dict[str, Any]]]:
    heard: SimpleQueue[tuple[int, dict[str, Any]]] = SimpleQueue()
    for one in words:
        heard.put(one)
    return heard


def test_who_has_told_of_its_end_may_be_gone_before_others_have(gone: subprocess.Popen[bytes]) -> None:
    heard = told((0, {"end": {"seconds": 1.0}}), (0, {}), (1, {"end": {"seconds": 2.0}}))
    endings = measuring._gather([gone, gone], heard, Sheets(2, None))
    assert [one.seconds for one in endings] == [1.0, 2.0]


def test_who_is_gone_before_it_told_of_its_end_has_failed(gone: subprocess.Popen[bytes]) -> None:
    heard = told((1, {"end": {"seconds": 1.0}}), (0, {}))
    with pytest.raises(NotMeasured, match="ended by itself"):
        measuring._gather([gone, gone], heard, Sheets(2, None))
