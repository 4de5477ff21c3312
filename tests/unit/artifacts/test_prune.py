"""What goes first when the cache is too large."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.artifacts.cache.cache import Cache, Entry
from eas_engine.artifacts.cache.prune import Room, choose, limit_of, seconds_of
from eas_engine.errors import ArtifactError, ConfigurationError

entries = st.lists(
    st.builds(
        Entry,
        id=st.uuids().map(str),
        kind=st.just("file"),
        size=st.integers(0, 100),
        files=st.just(1),
        used=st.floats(0, 100),
        in_use=st.booleans(),
    ),
    unique_by=lambda one: one.id,
    max_size=12,
)


@given(entries, st.integers(0, 500), st.none() | st.floats(0, 100))
def test_what_is_in_use_stays_and_the_oldest_go_first(
    found: list[Entry], limit: int, before: float | None
) -> None:
    gone = choose(found, limit=limit, before=before)
    kept = [one for one in found if one not in gone]
    free = [one for one in kept if not one.in_use]
    assert not any(one.in_use for one in gone)
    assert sum(one.size for one in kept) <= limit or not free
    assert not any(one.used < before for one in free) if before is not None else True
    for one in gone:  # nothing goes in vain
        old = before is not None and one.used < before
        younger = [two for two in gone if (two.used, two.id) >= (one.used, one.id)]
        assert old or sum(two.size for two in (*kept, *younger)) > limit


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("200G", 200 << 30), ("1.5T", 3 << 39), ("64MiB", 64 << 20), ("1000", 1000), ("10 k", 10240), ("0", 0)],
)
def test_sizes(tmp_path: Path, text: str, bytes_: int) -> None:
    assert limit_of(text, tmp_path) == bytes_


def test_shares_of_the_disk(tmp_path: Path) -> None:
    half, tenth, whole = (limit_of(text, tmp_path) for text in ("", "10%", "250%"))
    assert half == pytest.approx(5 * tenth, abs=10)
    assert whole == pytest.approx(2 * half, abs=10)


@pytest.mark.parametrize("text", ["a lot", "-1", "10X", "%", "1G%"])
def test_sizes_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="--cache-size, or EAS_CACHE_SIZE"):
        limit_of(text, tmp_path)


def test_ages() -> None:
    assert [seconds_of(text) for text in ("30m", "12h", "7d", "2", "90s", "1w")] == [
        *(1800, 43200, 604800, 172800, 90, 604800)
    ]
    with pytest.raises(ConfigurationError, match="--older-than soon"):
        seconds_of("soon")


def test_a_disk_that_is_too_small_is_refused_before_it_is_full(tmp_path: Path) -> None:
    room = Room(Cache.open(tmp_path / "cache"))
    room.make(1)
    with pytest.raises(ArtifactError, match=r"MiB more are to come, .* MiB free"):
        room.make(1 << 60)
