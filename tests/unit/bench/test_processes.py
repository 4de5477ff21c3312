"""A process and what descends from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping

import psutil
import pytest

from eas_bench.processes import Family

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
child.communicate()
print("alone", flush=True)
input()
"""


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_parent_and_child_are_seen_the_parent_first(parent: tuple[subprocess.Popen[str], int]) -> None:
    process, child = parent
    seen = Family(process.pid, "engine", dict).look()
    assert [(one.pid, one.name) for one in seen] == [
        (process.pid, "engine"),
        (child, psutil.Process(child).name()),
    ]
    assert all(one.memory_bytes > 100_000 and one.threads >= 1 and one.descriptors for one in seen)


def test_names_are_the_servers_own_and_asked_for_once(parent: tuple[subprocess.Popen[str], int]) -> None:
    process, child = parent
    asked = []

    def names() -> Mapping[int, str]:
        asked.append(1)
        return {child: "echo-0"}

    family = Family(process.pid, "engine", names)
    for _ in range(3):
        assert [one.name for one in family.look()] == ["engine", "echo-0"]
    assert len(asked) == 1


def test_who_has_ended_is_gone(parent: tuple[subprocess.Popen[str], int]) -> None:
    process, _child = parent
    family = Family(process.pid, "engine", dict)
    assert len(family.look()) == 2
    say(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "alone\n"
    assert [one.pid for one in family.look()] == [process.pid]
    say(process)
    process.wait()
    assert family.look() == []
    assert Family(process.pid, "engine", dict).look() == []


def test_a_grandchild_has_its_parents_name_before_its_own(parent: tuple[subprocess.Popen[str], int]) -> None:
    process, child = parent
    me = psutil.Process()
    named = {process.pid: "echo-0"}
    seen = {one.pid: one.name for one in Family(me.pid, "engine", lambda: named).look()}
    assert seen[process.pid] == "echo-0"
    assert seen[child] == f"echo-0/{psutil.Process(child).name()}"
