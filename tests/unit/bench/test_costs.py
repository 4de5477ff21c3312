"""The processor time of a server and its descendants, while a block runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eas_bench.scenarios.costs import accounts, difference, spending

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for line in sys.stdin:
    child.stdin.write(line.encode()); child.stdin.flush()
    print(child.stdout.readline().decode(), end="", flush=True)
"""
BUSY = """
import sys, time
for line in sys.stdin:
    until = time.thread_time() + float(line)
    while time.thread_time() < until: pass
    print("done", flush=True)
"""


def test_what_a_child_spends_counts_and_nothing_before_it() -> None:
    program = PARENT.replace("BUSY", repr(BUSY))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None

        def busy(seconds: float) -> None:
            parent.stdin.write(f"{seconds}\n")  # type: ignore[union-attr]
            parent.stdin.flush()  # type: ignore[union-attr]
            assert parent.stdout.readline() == "done\n"  # type: ignore[union-attr]

        busy(0.3)
        with spending(parent.pid) as spent:
            busy(0.2)
        parent.stdin.close()
    assert 0.2 <= spent.seconds < 0.3


def test_threads_that_are_new_began_with_nothing() -> None:
    assert difference({(1, 1): 2.0}, {(1, 1): 2.5, (1, 7): 0.25}) == pytest.approx(0.75)


def test_who_has_ended_has_no_accounts_any_more() -> None:
    assert difference({(1, 1): 2.0, (2, 2): 1.0}, {(1, 1): 2.5}) == pytest.approx(0.5)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert accounts(done.pid) == {}


def test_without_schedstat_it_is_counted_in_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    told = accounts(os.getpid())
    assert told[os.getpid(), os.getpid()] == pytest.approx(sum(os.times()[:2]), abs=1.0)
