"""Who was killed by the kernel, by its counters and by its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.supervisor.memory import OomCounter, count_of, kernel_says

V2 = "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"
LOG = (
    "6,1201,99000000,-;python invoked oom-killer\n"
    "3,1202,99000001,-;Memory cgroup out of memory: Killed process 77 (python) total-vm:1kB\n"
    " SUBSYSTEM=memory\n"
)


@pytest.mark.parametrize(("text", "count"), [(V2, 2), (V1, 5), ("", 0), ("oom_kill x\n", 0)])
def test_the_counter_of_both_versions(text: str, count: int) -> None:
    assert count_of(text) == count


@pytest.mark.parametrize(
    ("membership", "file", "text"),
    [
        ("0::/a/b\n", "a/b/memory.events", V2),
        ("4:memory:/a/b\n1:cpu:/\n0::/\n", "memory/a/b/memory.oom_control", V1),
        ("4:memory:/the/machines/own\n0::/\n", "memory/memory.oom_control", V1),
        ("0::/a\n", "unified/a/memory.events", V2),
    ],
)
def test_a_rise_is_seen(tmp_path: Path, membership: str, file: str, text: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(membership)
    counter = tmp_path / "cgroups" / file
    counter.parent.mkdir(parents=True)
    counter.write_text(text)
    watched = OomCounter(7, proc=tmp_path, cgroups=tmp_path / "cgroups")
    assert watched.rise() == 0
    counter.write_text(text.replace(f"oom_kill {count_of(text)}", f"oom_kill {count_of(text) + 1}"))
    assert watched.rise() == 1


def test_where_there_is_no_counter_nothing_rises(tmp_path: Path) -> None:
    assert OomCounter(7, proc=tmp_path, cgroups=tmp_path).rise() == 0


@pytest.mark.parametrize(
    ("pid", "since", "found"),
    [(77, 99.0, True), (77, 5000.0, False), (78, 99.0, False)],
    ids=["it", "long ago", "another"],
)
def test_the_kernels_own_words(tmp_path: Path, pid: int, since: float, found: bool) -> None:
    log = tmp_path / "kmsg"
    log.write_text(LOG)
    said = kernel_says(pid, since, log=log, first=True)
    assert said.startswith("Memory cgroup out of memory: Killed process 77") is found
    assert kernel_says(pid, since, log=log, first=False) == ""
    assert kernel_says(pid, since, log=tmp_path / "none", first=True) == ""
