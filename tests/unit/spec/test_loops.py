"""``rpc.io_threads``: the number in effect, and why it isn't the one that was asked for."""

from __future__ import annotations

import sys

import pytest

from eas_engine.spec.loops import Loops, body_threads, has_gil, loops


@pytest.mark.parametrize("requested", [2, 4, 1024])
@pytest.mark.parametrize(("gil", "why"), [(True, "GIL"), (False, "handing requests over")])
def test_one_loop_on_every_interpreter(requested: int, gil: bool, why: str) -> None:
    here = loops(requested, gil=gil)
    assert (here.requested, here.effective) == (requested, 1)
    assert why in here.reason


@pytest.mark.parametrize("gil", [True, False])
def test_who_asks_for_one_gets_one_and_no_reason(gil: bool) -> None:
    assert loops(1, gil=gil) == Loops(1, 1, "")


def test_interpreters_before_3_13_have_a_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    assert has_gil()


@pytest.mark.parametrize("enabled", [True, False])
def test_later_ones_are_asked(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: enabled, raising=False)
    assert has_gil() is enabled


@pytest.mark.parametrize(("requested", "cpus", "threads"), [(4, 2, 2), (4, 16, 4), (1, 8, 1), (4, 0, 1)])
def test_bodies_get_as_many_threads_as_were_asked_for_and_there_are_cores(
    requested: int, cpus: int, threads: int
) -> None:
    assert body_threads(requested, cpus) == threads
