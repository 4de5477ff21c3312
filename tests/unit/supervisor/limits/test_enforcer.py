"""Instances as the enforcer holds them where there are no groups; and what their hosts are told."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio

from eas_engine.devices import Gpu
from eas_engine.devices.inventory import Inventory
from eas_engine.spec.cgroups import NONE, find
from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.gpu.share import Cards
from eas_engine.supervisor.limits.enforcer import Enforcer
from eas_engine.supervisor.place import Limits, Needs, Place, Quarters
from support.cgroup_tree import KernelTree
from support.nvml import ScriptedNvml, card

MB = 2**20
SETTLED = {"shm": "", "tmp": ""}


@dataclass
class Sentences:
    """What hosts were condemned for."""

    passed: list[Condemned] = field(default_factory=list)
    one: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, why: Condemned) -> None:
        self.passed.append(why)
        self.one.set()


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Enforcer]]:
    made: list[Enforcer] = []

    def enforcer(**given: object) -> Enforcer:
        warnings: list[str] = []
        warn = lambda *_, **__: warnings.append("")  # noqa: E731
        here = given.pop("cgroups", NONE)
        one = Enforcer("demo", tmp_path / "scratch", here, warn=warn, **given)  # type: ignore[arg-type]
        made.append(one)
        return one

    yield enforcer
    for one in made:
        await asyncio.to_thread(one.close)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process with 64 MB."""
    code = "shared = b'x' * (64 << 20); print(flush=True); input()"
    made = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert made.stdout is not None
    made.stdout.readline()
    yield made
    made.kill()
    made.communicate()


def made_tree(root: Path) -> KernelTree:
    root.mkdir()
    return KernelTree(root)


def quarters(place: Place | None = None, **limits: object) -> Quarters:
    return Quarters("demo-0", place or Place(), Limits(**limits))  # type: ignore[arg-type]


async def test_without_limits_nothing_is_told_and_nothing_is_made(
    make: Callable[..., Enforcer], tmp_path: Path
) -> None:
    stay = make().stay(quarters(), Sentences())
    assert (stay.variables, stay.mounts) == ({}, {})
    with stay.entrances() as fds:
        assert fds == ()
    assert stay.enforcement() is None
    assert stay.settle({}).lacking() == ()
    assert not (tmp_path / "scratch").exists()
    stay.ended()


async def test_memory_over_the_limit_condemns_every_host(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes]
) -> None:
    enforcer, sentences = make(), [Sentences(), Sentences()]
    stays = [enforcer.stay(quarters(memory=32 * MB), one) for one in sentences]
    stays[0].begun(child.pid)
    for one in sentences:
        await one.one.wait()
        assert one.passed[0].kind == "oom"
        assert one.passed[0].cause.startswith("OOMKilled: ")
        assert one.passed[0].cause.endswith(" MB used, 32 MB allowed")
    used = enforcer.usage("demo-0")
    assert used is not None
    assert used.memory is not None
    assert used.memory > 64 * MB
    assert stays[0].settle(SETTLED).memory == "watchdog"
    assert stays[0].memory() is None, "a watchdog's limit explains no SIGKILL by others"
    for stay in stays:
        stay.ended()
    assert enforcer.usage("demo-0") is None


async def test_memory_within_the_limit_is_left_alone(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes]
) -> None:
    enforcer, sentences = make(), Sentences()
    stay = enforcer.stay(quarters(memory=1024 * MB), sentences)
    stay.begun(child.pid)
    lodging = enforcer._lodgings["demo-0"]
    assert 0.05 <= lodging.look_at_memory() <= 1.0
    await asyncio.sleep(0)
    assert sentences.passed == []


async def test_the_nearer_the_limit_the_sooner_the_next_look(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes]
) -> None:
    pauses = []
    for allowed in (70, 200, 8000):
        enforcer = make()
        enforcer.stay(quarters(memory=allowed * MB), Sentences()).begun(child.pid)
        pauses.append(enforcer._lodgings["demo-0"].look_at_memory())
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1 < pauses[2] == 1.0


async def test_gpu_memory_over_the_share_condemns_the_host(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes]
) -> None:
    nvml = ScriptedNvml(card(0))
    cards = Cards([Gpu("X", 80 << 30, "GPU-0")], Inventory(nvml))
    sentences = Sentences()
    place = Place(cards=("GPU-0",))
    stay = make(cards=cards).stay(quarters(place, gpu_memory=1024 * MB), sentences)
    assert stay.cards["CUDA_VISIBLE_DEVICES"] == "GPU-0"
    stay.begun(child.pid)
    nvml.cards[0].processes[child.pid] = 1500 * MB
    await sentences.one.wait()
    assert sentences.passed[0].cause == "GPUMemoryExceeded: 1500 MB used, 1024 MB allowed"
    assert stay.settle(SETTLED).gpu_memory == "watchdog"
    stay.ended()


async def test_an_instance_without_a_card_sees_none(make: Callable[..., Enforcer]) -> None:
    stay = make(cards=Cards([Gpu("X", 1, "GPU-0")])).stay(quarters(), Sentences())
    assert stay.cards == {"CUDA_VISIBLE_DEVICES": ""}
    told = {"cuda": "the kernel gives no mount namespace"}
    assert stay.settle(told).lacking() == (
        f"cuda: nothing: {told['cuda']}; CUDA_HOME and the library path name it",
    )
    assert stay.settle({"cuda": ""}).cuda == "mount"
    stay.ended()


async def test_cpus_are_bound_where_no_group_limits_them(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes]
) -> None:
    stay = make().stay(quarters(cpu=0.5), Sentences())
    stay.begun(child.pid)
    assert len(os.sched_getaffinity(child.pid)) == 1
    assert stay.settle({}).cpu == "affinity"
    assert stay.variables["OMP_NUM_THREADS"] == "1"


async def test_a_place_binds_in_any_case(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes]
) -> None:
    last = max(os.sched_getaffinity(0))
    stay = make().stay(quarters(Place(cpus=(last,))), Sentences())
    stay.begun(child.pid)
    assert os.sched_getaffinity(child.pid) == {last}
    assert stay.settle({}).cpu == "", "no limit was asked for"


async def test_cpus_that_are_not_there_are_said(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes]
) -> None:
    stay = make().stay(quarters(Place(cpus=(4000,)), cpu=1), Sentences())
    stay.begun(child.pid)
    assert stay.settle({}).cpu == "nothing: sched_setaffinity: Invalid argument"


async def test_scratch_is_a_directory_of_its_own_that_goes(
    make: Callable[..., Enforcer], tmp_path: Path
) -> None:
    (tmp_path / "scratch/left-over").mkdir(parents=True)
    enforcer, sentences = make(), Sentences()
    assert not (tmp_path / "scratch").exists()
    stay = enforcer.stay(quarters(scratch=MB), sentences)
    directory = Path(stay.variables["TMPDIR"])
    hidden = str(tmp_path).startswith("/tmp/")
    assert ("tmp" in stay.mounts) is not hidden
    assert (stay.settle(SETTLED).scratch == "watchdog") is not hidden
    (directory / "file").write_bytes(b"x" * 3 * MB)
    await sentences.one.wait()
    assert sentences.passed[0].kind == "ephemeral_storage"
    words = r"EphemeralStorageExceeded: [23] MB written, 1 MB allowed"  # it may be seen in the middle
    assert re.fullmatch(words, sentences.passed[0].cause)
    stay.ended()
    again = enforcer.stay(quarters(scratch=MB), Sentences())
    assert again.variables["TMPDIR"] != str(directory)
    again.ended()
    await asyncio.to_thread(enforcer.close)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nothing else runs


async def test_what_comes_into_the_shared_workspace_is_shared_out(
    make: Callable[..., Enforcer], tmp_path: Path
) -> None:
    workspace = tmp_path / "W"
    workspace.mkdir()
    (workspace / "model").write_bytes(b"x" * 8 * MB)
    enforcer, needs = make(), Needs(workspace)
    names = ("demo-0", "demo-1")
    for name in names:
        enforcer.stay(Quarters(name, Place(), Limits(scratch=64 * MB)), Sentences(), needs)
    lodgings = [enforcer._lodgings[name] for name in names]
    for one in lodgings:
        one.look_at_scratch()
    (workspace / "log").write_bytes(b"x" * 4 * MB)
    lodgings[0].workspace._counted = (0.0, 0)
    for one in lodgings:
        one.look_at_scratch()
        used = one.used().scratch
        assert used is not None
        assert 2 * MB <= used < 3 * MB


async def test_why_tmp_is_not_its_own_is_said(make: Callable[..., Enforcer]) -> None:
    stay = make().stay(quarters(scratch=MB), Sentences(), Needs(paths=("/tmp/my/model",)))
    assert stay.mounts == {}
    assert stay.settle({}).scratch.startswith("watchdog (TMPDIR alone: /")


@pytest.mark.parametrize(("told", "by"), [({"shm": ""}, "mount"), ({"shm": "no"}, "nothing: no")])
async def test_shm_is_a_mount_or_it_is_said_why_not(
    make: Callable[..., Enforcer], told: dict[str, str], by: str
) -> None:
    stay = make().stay(quarters(shm=5 * MB), Sentences())
    assert [(one.target, one.size) for one in stay.mounts["shm"]] == [("/dev/shm", 5 * MB)]
    assert stay.settle(told).shm == by
    assert stay.settle({}).shm == "nothing: unknown"


class Daemon:
    def pipe(self, uuid: str) -> Path | str:
        return Path("/s") / uuid


async def test_a_client_of_mps_sees_the_machines_dev_shm(make: Callable[..., Enforcer]) -> None:
    """There it meets the server: in one of its own it would find none."""
    house = make(cards=Cards([Gpu("A10", 24 << 30, "GPU-0")], None, Daemon()))
    limits = Limits(shm=5 * MB, gpu_memory=1 << 30)
    of = Quarters("a-0", Place(cards=("GPU-0",)), replace(limits, gpu_percent=30))
    client = house.stay(of, Sentences())
    assert "shm" not in client.mounts
    assert client.settle({}).shm == "nothing: MPS needs the machine's /dev/shm"
    other = house.stay(Quarters("a-1", Place(cards=("GPU-0",)), limits), Sentences())
    assert "shm" in other.mounts


async def test_a_host_that_does_not_enter_its_group_is_held_without_it(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    tree = made_tree(tmp_path / "kernel")
    tree.v1("memory")
    tree.v1("cpu")
    sentences = Sentences()
    enforcer = make(cgroups=find(tree.process, tree.root), kernel=tree)
    stay = enforcer.stay(quarters(cpu=1, memory=32 * MB), sentences)
    stay.begun(child.pid)
    with stay.entrances() as fds:
        assert len(fds) == 2
    assert stay.memory() == (32 * MB, 32 * MB)
    assert not stay.inside
    held = stay.settle({"group": "the kernel doesn't let it"})
    assert (held.cpu, held.memory) == ("affinity", "watchdog")
    await sentences.one.wait()
    assert "32 MB allowed" in sentences.passed[0].cause


async def test_one_that_is_in_its_group_is_held_by_it_and_a_lost_child_condemns_it(
    make: Callable[..., Enforcer], child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    tree = made_tree(tmp_path / "kernel")
    tree.v1("memory")
    sentences = Sentences()
    enforcer = make(cgroups=find(tree.process, tree.root), kernel=tree)
    stay = enforcer.stay(quarters(memory=32 * MB), sentences)
    stay.begun(child.pid)
    assert stay.settle({"group": ""}).memory == "cgroup v1"
    assert stay.inside
    (counter,) = tree.root.rglob("host1/memory.oom_control")
    counter.write_text("oom_kill 1\n")
    await sentences.one.wait()
    expected = "OOMKilled (a process that it had started): 32 MB used, 32 MB allowed"
    assert sentences.passed[0] == Condemned("oom", expected)
