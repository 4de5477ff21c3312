"""How large a batch may be, for so many threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.spec.rpc import MOST_INSIDE
from eas_host import wire
from support.services import python_service, read


def warnings(directory: Path, **rpc: object) -> list[tuple[str, str]]:
    loaded = read(directory, python_service(metadata={"rpc": {"batching": True, **rpc}}))
    return [(one.path, one.message) for one in loaded.warnings]


def test_an_instance_holds_as_many_requests_as_the_wire_has_slots() -> None:
    assert MOST_INSIDE == wire.SLOTS


def test_more_rows_than_a_threads_share_of_the_requests_can_hold_is_said_with_the_figures(
    tmp_path: Path,
) -> None:
    said = (
        "1000 rows for each of 8 worker threads: an instance holds at most 4096 requests, so a batch has at "
        "most 512 of them; only requests that hold several rows can fill it"
    )
    given = {"max_batch_size": 1000, "worker_threads": 8}
    assert warnings(tmp_path, **given) == [("metadata.rpc.max_batch_size", said)]


@pytest.mark.parametrize(
    "rpc",
    [
        {"max_batch_size": 512, "worker_threads": 8},
        {"max_batch_size": 4096, "worker_threads": 1},
        {"max_batch_size": 819},  # of five threads
        {"max_batch_size": 5000, "batch_sizes": [1, 512], "worker_threads": 8},
        {"batching": False, "worker_threads": 1024},
    ],
)
def test_what_fits_is_not_warned_of(tmp_path: Path, rpc: dict[str, object]) -> None:
    assert warnings(tmp_path, **rpc) == []
