"""The parts that hold an instance where no group does: CPUs, memory of a family, scratch, looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.supervisor.limits import affinity, scratch
from eas_engine.supervisor.limits.affinity import Cpus
from eas_engine.supervisor.limits.family import Family
from eas_engine.supervisor.limits.report import Enforcement, oom_text, scratch_text
from eas_engine.supervisor.limits.rounds import Rounds
from eas_engine.supervisor.limits.sweeper import Sweeper
from eas_engine.supervisor.limits.variables import THREADS, threads, variables
from support.engine import eventually, gone

MB = 2**20
PARENT = """
import os, signal, sys, time
shared = b"x" * (64 << 20)
child = os.fork()
if child == 0:
    os.setsid()
    time.sleep(3600)
print(child, flush=True)
time.sleep(3600)
"""


# -- CPUs


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=30), st.integers(1, 8))
def test_cpus_are_dealt_out_evenly(wanted: list[tuple[int, int]], here: int) -> None:
    cpus = Cpus(range(here))
    held: dict[str, tuple[int, ...]] = {}
    for name, count in wanted:
        load = Counter(cpu for one, taken in held.items() for cpu in taken if one != str(name))
        chosen = held[str(name)] = cpus.take(str(name), count)
        assert len(set(chosen)) == min(count, here)
        others = set(range(here)) - set(chosen)
        assert all(load[one] <= load[other] for one in chosen for other in others)


def test_a_place_narrows_the_choice_and_who_leaves_makes_room() -> None:
    cpus = Cpus(range(8))
    assert cpus.take("a", 2, (4, 5, 6)) == (4, 5)
    assert cpus.take("b", 2, (4, 5, 6)) == (4, 6)
    cpus.leave("a")
    cpus.leave("a")
    assert cpus.take("c", 1, (4, 5, 6)) == (5,)


def test_a_process_is_bound_with_all_its_threads_and_a_gone_one_is_no_error() -> None:
    first = min(os.sched_getaffinity(0))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    affinity.bind(child.pid, [first])
    assert os.sched_getaffinity(child.pid) == {first}
    with pytest.raises(OSError, match="Invalid argument"):
        affinity.bind(child.pid, [])
    child.communicate(b"\n")
    affinity.bind(child.pid, [first])


# -- what libraries read


@pytest.mark.parametrize(("cpu", "count"), [(0.1, 1), (1.0, 1), (1.5, 2), (4.0, 4)])
def test_libraries_are_told_whole_cpus(cpu: float, count: int) -> None:
    assert threads(cpu) == count
    told = variables(cpu)
    assert told["EAS_CPUS"] == f"{cpu:g}"
    assert {told[name] for name in THREADS} == {str(count)}
    assert variables(None) == {}


# -- a family


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process with a child in a session of its own, which share 64 MB."""
    made = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert made.stdout is not None
    child = int(made.stdout.readline())
    yield made, child
    for pid in (made.pid, child):
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)
    made.communicate()


def test_shared_pages_count_twice_only_while_it_does_not_matter(
    parent: tuple[subprocess.Popen[bytes], int],
) -> None:
    made, child = parent
    family = Family(made.pid)
    assert {one.pid for one in family.members()} == {made.pid, child}
    assert 128 * MB < family.memory() < 200 * MB
    assert family.memory(10**12) > 128 * MB
    assert 64 * MB < family.memory(100 * MB) < 120 * MB


def test_a_child_whose_parent_is_gone_still_belongs(parent: tuple[subprocess.Popen[bytes], int]) -> None:
    made, child = parent
    family = Family(made.pid)
    family.members()
    made.kill()
    made.wait()
    assert {one.pid for one in family.members()} == {child}
    family.kill()
    eventually(lambda: gone(child), "it is gone")
    assert family.members() == frozenset()
    assert family.memory(0) == 0


def test_nobody_is_no_family(tmp_path: Path) -> None:
    assert Family(1, tmp_path).memory(0) == 0


def test_swap_counts(tmp_path: Path) -> None:
    process = tmp_path / "7"
    process.mkdir()
    (process / "stat").write_text(f"7 (a) b) S {' '.join(['0'] * 18)} 99 0")
    (process / "status").write_text("Name:\tx\nVmRSS:\t100 kB\nVmSwap:\t20 kB\n")
    assert Family(7, tmp_path).memory(10**9) == 120 * 1024
    (process / "smaps_rollup").write_text("00-ff ---p [rollup]\nRss: 100 kB\nPss: 60 kB\nSwapPss: 10 kB\n")
    assert Family(7, tmp_path).memory(0) == 70 * 1024
    (process / "smaps_rollup").unlink()
    assert Family(7, tmp_path).memory(0) == 120 * 1024, "a kernel without it"


# -- scratch


def test_what_is_written_is_counted_once_and_on_this_disk_only(tmp_path: Path) -> None:
    root = scratch.make(tmp_path / "scratch", "a.1")
    assert (root.stat().st_mode & 0o7777, root.parent.stat().st_mode & 0o777) == (0o1777, 0o700)
    before = scratch.written(root)
    (root / "deep").mkdir()
    (root / "deep/file").write_bytes(b"x" * MB)
    os.link(root / "deep/file", root / "again")
    (root / "link").symlink_to("/usr")
    assert MB <= scratch.written(root) - before < 2 * MB
    assert scratch.written(tmp_path / "none") == 0
    scratch.clear(tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


def test_a_file_that_has_no_name_any_more_counts_while_it_is_open(tmp_path: Path) -> None:
    before = scratch.unlinked([os.getpid()], tmp_path)
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(b"x" * MB)
        file.flush()
        assert scratch.unlinked([os.getpid()], tmp_path) - before >= MB
        assert scratch.written(tmp_path) < MB
    assert scratch.unlinked([os.getpid()], tmp_path) == before
    assert scratch.unlinked([os.getpid()], tmp_path / "none") == 0


def test_what_lies_in_tmp_would_be_hidden(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "there")
    at = str(tmp_path / "there")
    assert scratch.in_the_way(["relative", "/usr/bin", at, f"{at}x/y"], at) == ""
    assert scratch.in_the_way(["/usr", f"{tmp_path}/link/model"], at) == f"{tmp_path}/link/model"


def test_the_workspace_is_counted_when_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * MB)
    assert scratch.Workspace(tmp_path).size() >= MB
    assert scratch.Workspace(None).size() == 0


# -- threads


def test_looks_come_again_also_after_one_that_failed() -> None:
    seen, enough = [], threading.Event()
    failures: list[Exception] = []
    rounds = Rounds("test", failures.append)

    def look() -> float:
        seen.append(1)
        if len(seen) == 3:
            enough.set()
        return 0.0

    def broken() -> float:
        raise ValueError("no")

    rounds.add(broken)
    rounds.add(look)
    assert enough.wait(60)
    rounds.remove(look)
    rounds.remove(look)
    rounds.close()
    rounds.close()
    assert [str(one) for one in failures] == ["no"]
    rounds.add(look)
    assert threading.active_count() == 1 or "test" not in {one.name for one in threading.enumerate()}


def test_jobs_are_done_until_they_are_done() -> None:
    left = [3]
    failures: list[Exception] = []

    def job() -> bool:
        left[0] -= 1
        return left[0] == 0

    def broken() -> bool:
        raise OSError("no")

    sweeper = Sweeper(failures.append)
    sweeper.do(job)
    sweeper.do(broken)
    assert sweeper.close(60)
    assert (left, len(failures)) == ([0], 1)


def test_what_cannot_be_removed_is_not_tried_for_ever() -> None:
    failures: list[Exception] = []
    times = iter((0.0, 1.0, 9.0, 11.0))
    sweeper = Sweeper(failures.append, now=lambda: next(times))
    sweeper.do(lambda: False)
    assert sweeper.close(60)
    assert [str(one) for one in failures] == ["what an instance has left can't be removed"]
    stubborn = Sweeper(failures.append)
    stubborn.do(lambda: False)
    assert not stubborn.close(0.0)


# -- words


def test_texts_have_both_figures() -> None:
    assert oom_text(612 * MB, 512 * MB) == "OOMKilled: 612 MB used, 512 MB allowed"
    child = "OOMKilled (a process that it had started): 512 MB used, 512 MB allowed"
    assert oom_text(512 * MB, 512 * MB, child=True) == child
    assert oom_text(100 * MB, 512 * MB).endswith("allowed; the machine had no more memory")
    assert scratch_text(1200 * MB, 1024 * MB) == "EphemeralStorageExceeded: 1200 MB written, 1024 MB allowed"


def test_what_lacks_is_named() -> None:
    assert Enforcement(cpu="affinity", shm="nothing: no").lacking() == ("shm: nothing: no",)
