"""What is found out about a machine: CPUs that may be used, NUMA nodes, lists of CPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.spec import Machine, cpu_list, numa
from eas_engine.spec.machine import this_machine
from eas_engine.spec.machine_types import MachineType
from eas_engine.spec.numa import NumaNode
from support.pools import machine


def node(directory: Path, number: int, cpus: str, meminfo: str | None = None) -> None:
    path = directory / f"node{number}"
    path.mkdir(parents=True)
    (path / "cpulist").write_text(f"{cpus}\n")
    if meminfo is not None:
        (path / "meminfo").write_text(meminfo)


def test_nodes_as_the_kernel_shows_them(tmp_path: Path) -> None:
    node(tmp_path, 10, "4-7", "Node 10 MemTotal:       2048 kB\nNode 10 MemFree: 1 kB\n")
    node(tmp_path, 2, "0-3,8-11", "Node 2 MemTotal: 1024 kB\n")
    node(tmp_path, 3, "", "Node 3 MemTotal: 4096 kB\n")  # memory alone
    node(tmp_path, 4, "12-15")  # none that the engine may use
    (tmp_path / "online").write_text("2-4,10\n")
    (tmp_path / "node").mkdir()
    assert numa.nodes(tmp_path, range(1, 9)) == (
        NumaNode(2, (1, 2, 3, 8), 2**20),
        NumaNode(10, (4, 5, 6, 7), 2 * 2**20),
    )


def test_a_machine_that_does_not_say(tmp_path: Path) -> None:
    assert numa.nodes(tmp_path / "nothing", range(4)) == ()
    (tmp_path / "node0").mkdir()
    node(tmp_path, 1, "nonsense")
    assert numa.nodes(tmp_path, range(4)) == ()


def test_only_cpus_of_the_engines_own_affinity_count(tmp_path: Path) -> None:
    """As under ``taskset``, or a cpuset, which the kernel keeps the mask inside."""
    node(tmp_path, 0, "0-4095")
    one = max(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, [{one}])\n"
        "from pathlib import Path\n"
        "from eas_engine.spec.machine import this_machine\n"
        f"here = this_machine(nodes=Path({str(tmp_path)!r}))\n"
        "print(here.cpus, here.usable, [one.cpus for one in here.nodes])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"1 ({one},) [({one},)]"


def test_this_machine_is_made_of_its_nodes() -> None:
    here = this_machine()
    assert here.usable == tuple(sorted(os.sched_getaffinity(0)))
    assert {cpu for one in here.nodes for cpu in one.cpus} <= set(here.usable)


def test_a_machine_without_numbers_counts_from_0() -> None:
    assert Machine(3, 1).usable == (0, 1, 2)
    assert Machine(2, 1, cpu_numbers=(5, 7)).usable == (5, 7)


def test_own_types_come_before_the_tables() -> None:
    own = MachineType("ecs.c7.large", 1, 1)
    here = machine()
    here = replace(here, settings=replace(here.settings, types={"ecs.c7.large": own}))
    assert here.machine_type("ecs.c7.large") == own
    assert here.machine_type("ecs.c7.xlarge") is not None
    assert here.machine_type("") is None


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0", (0,)), ("0-3,8", (0, 1, 2, 3, 8)), (" 3 , 1-2,2", (1, 2, 3)), ("8191", (8191,))],
)
def test_lists_of_cpus(text: str, cpus: tuple[int, ...]) -> None:
    assert cpu_list.numbers(text) == cpus


@pytest.mark.parametrize(
    "text", ["", ",", "1,", "a", "-1", "3-1", "1-", "0-8192", "1 2", "0x1", "٣", "1-2-3"]
)
def test_what_is_no_list_of_cpus(text: str) -> None:
    with pytest.raises(ValueError, match="expected numbers and ranges"):
        cpu_list.numbers(text)


@given(st.sets(st.integers(0, 64), min_size=1))
def test_a_list_says_what_it_was_made_of(cpus: set[int]) -> None:
    text = cpu_list.text(cpus)
    assert cpu_list.numbers(text) == tuple(sorted(cpus))
    assert cpu_list.text(()) == ""
    assert text.count(",") + 1 == sum(one - 1 not in cpus for one in cpus), "as short as can be"
