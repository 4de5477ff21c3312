"""Control groups of both versions, against a tree that keeps the kernel's rules."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.spec import cgroups
from eas_engine.spec.cgroups import NONE, Cgroups, find
from eas_engine.supervisor.limits.control_files import KernelFiles, number, table
from eas_engine.supervisor.limits.group_settings import settings_v1, settings_v2, shares, weight
from eas_engine.supervisor.limits.groups import EngineGroup, InstanceGroup, tidy
from eas_engine.supervisor.place import Limits
from support.cgroup_tree import KernelTree

MB = 2**20
LIMITS = Limits(cpu=1.5, memory=512 * MB)


def hybrid(tmp_path: Path) -> tuple[KernelTree, Cgroups]:
    """Version 1 as most machines had it, with the controllers of one process in different groups."""
    tree = KernelTree(tmp_path, "/system/engine")
    tree.v1("memory")
    tree.v1("cpu", "cpuacct")
    return tree, find(tree.process, tmp_path)


def unified(tmp_path: Path, own: str = "/system/engine") -> tuple[KernelTree, Cgroups]:
    tree = KernelTree(tmp_path, own)
    tree.v2()
    return tree, find(tree.process, tmp_path)


def only(group: InstanceGroup, name: str) -> Path:
    """The one file of this name in the instance's own directories."""
    (found,) = [path / name for path, _ in group._made if (path / name).exists()]
    return found


def test_an_instance_has_a_group_in_every_hierarchy_of_version_1(tmp_path: Path) -> None:
    tree, here = hybrid(tmp_path)
    engine = EngineGroup(here, "demo", tree)
    group = engine.instance("demo-0.1", LIMITS)
    assert group.by == {"memory": "cgroup v1", "cpu": "cgroup v1"}
    told = {name: only(group, name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")}
    assert told == {"cpu.cfs_quota_us": "150000", "cpu.cfs_period_us": "100000"}
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        assert only(group, name).read_text() == str(512 * MB), name
    host = group.host()
    assert host is not None
    entrances = host.entrances()
    places = sorted(Path(f"/proc/self/fd/{fd}").readlink().parent.name for fd in entrances)
    assert places == ["demo-0.1", "host1"]
    for fd in entrances:
        os.close(fd)
    assert host.remove()
    assert group.remove()
    engine.close()
    assert not list(tmp_path.rglob("eas-engine-*"))


def test_an_instance_of_version_2_hands_memory_down_to_its_hosts(tmp_path: Path) -> None:
    tree, here = unified(tmp_path)
    engine = EngineGroup(here, "demo", tree)
    group = engine.instance("demo-0.1", LIMITS)
    assert group.by == {"memory": "cgroup v2", "cpu": "cgroup v2"}
    told = {name: only(group, name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max")}
    assert told == {"memory.max": str(512 * MB), "memory.swap.max": "0", "cpu.max": "150000 100000"}
    assert only(group, "memory.oom.group").read_text() == "1"
    host = group.host()
    assert host is not None
    (leaf,) = [path for path in only(group, "memory.max").parent.iterdir() if path.is_dir()]
    assert (leaf / "memory.events").exists()
    tree.write(leaf / "cgroup.procs", "77")
    assert group.processes() == [77]
    assert not host.remove(), "a process is in it"


def test_the_engine_leaves_a_group_that_it_has_for_itself(tmp_path: Path) -> None:
    """A service of systemd with Delegate=yes: only a group without processes can hand controllers down."""
    tree, here = unified(tmp_path)
    (base,) = here.bases
    assert (base.crowded, base.path.name) == (True, "engine")
    engine = EngineGroup(here, "demo", tree)
    assert (base.path / "engine/cgroup.procs").read_text().split() == [str(os.getpid())]
    assert engine.instance("demo-0.1", LIMITS).by["memory"] == "cgroup v2"


def test_the_root_of_a_container_is_cleared_of_all_processes(tmp_path: Path) -> None:
    tree = KernelTree(tmp_path, "/")
    own = tree.v2(container=True)
    tree.enter(own, 1)
    (base,) = find(tree.process, tmp_path).bases
    assert (base.crowded, base.path) == (True, own)
    engine = EngineGroup(find(tree.process, tmp_path), "demo", tree)
    assert sorted((own / "engine/cgroup.procs").read_text().split()) == sorted(["1", str(os.getpid())])
    assert engine.instance("demo-0.1", LIMITS).by["cpu"] == "cgroup v2"


def test_the_root_of_the_machine_may_keep_its_processes(tmp_path: Path) -> None:
    tree = KernelTree(tmp_path, "/")
    own = tree.v2()
    (base,) = find(tree.process, tmp_path).bases
    assert (base.crowded, base.path) == (False, own)
    assert (
        EngineGroup(find(tree.process, tmp_path), "demo", tree).instance("a", LIMITS).by["cpu"] == "cgroup v2"
    )


def test_where_others_are_the_parent_is_taken_or_the_root(tmp_path: Path) -> None:
    """A login session: moving the shell would be rude."""
    tree = KernelTree(tmp_path, "/user/session")
    own = tree.v2()
    tree.enter(own, 1)
    assert [base.path for base in find(tree.process, tmp_path).bases] == [own.parent]
    tree.enter(own.parent, 1)
    found = find(tree.process, tmp_path)
    assert [base.path for base in found.bases] == [tmp_path / "sys/fs/cgroup"]
    engine = EngineGroup(found, "demo", tree)
    assert engine.instance("demo-0.1", LIMITS).by["memory"] == "cgroup v2"
    assert str(os.getpid()) in (own / "cgroup.procs").read_text().split()


def test_what_is_mounted_in_a_container_may_be_the_end_of_the_path(tmp_path: Path) -> None:
    tree = KernelTree(tmp_path, "/")
    own = tree.v1("memory")
    (tree.process / "cgroup").write_text("4:memory:/docker/abc\n0::/\n")
    mount = "30 20 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    (tree.process / "mountinfo").write_text(mount)
    assert find(tree.process, tmp_path).base("memory") == cgroups.Base(1, own, ("memory",))


def test_a_controller_that_is_not_there_has_a_reason(tmp_path: Path) -> None:
    tree = KernelTree(tmp_path)
    tree.v1("memory")
    here = find(tree.process, tmp_path)
    assert (here.by("memory"), here.by("cpu")) == ("cgroup v1", "")
    assert here.reason("cpu") == "the kernel has no cgroup controller cpu"
    assert find(tmp_path / "none").reason("memory").endswith("No such file or directory")
    group = EngineGroup(NONE, "demo", tree).instance("demo-0.1", LIMITS)
    assert group.by["cpu"] == "nothing: cgroups are turned off (EAS_CGROUPS)"
    assert group.host() is None


def test_a_limit_that_the_kernel_refuses_is_said_and_the_other_holds(tmp_path: Path) -> None:
    tree, here = hybrid(tmp_path)
    tree.refused = {"cpu.cfs_quota_us": errno.EINVAL, "memory.memsw.limit_in_bytes": errno.ENOENT}
    group = EngineGroup(here, "demo", tree).instance("demo-0.1", LIMITS)
    assert group.by["memory"] == "cgroup v1", "the kernel needn't count swap"
    assert group.by["cpu"].startswith("nothing: ")
    assert group.by["cpu"].endswith("cpu.cfs_quota_us: Invalid argument")


def test_a_base_that_cannot_be_used_after_all_is_said(tmp_path: Path) -> None:
    tree, here = unified(tmp_path)
    tree.refused = {"cgroup.subtree_control": errno.EBUSY}
    group = EngineGroup(here, "demo", tree).instance("demo-0.1", LIMITS)
    assert group.by["memory"].endswith("cgroup.subtree_control: Device or resource busy")
    assert group.by["memory"].startswith("nothing: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_group_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    tree = KernelTree(tmp_path)
    own = tree.v1("memory")
    own.chmod(0o555)
    assert find(tree.process, tmp_path).reason("memory") == f"{own} is not writable"


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_used_is_read_from_the_group(tmp_path: Path, version: int) -> None:
    tree, here = hybrid(tmp_path) if version == 1 else unified(tmp_path)
    group = EngineGroup(here, "demo", tree).instance("demo-0.1", LIMITS)
    v1 = {
        "memory.usage_in_bytes": "300",
        "memory.max_usage_in_bytes": "400",
        "memory.stat": "cache 1\ntotal_inactive_file 100\n",
        "cpuacct.usage": "2500000000",
        "cpu.stat": "nr_periods 1\nthrottled_time 500000000\n",
    }
    v2 = {
        "memory.current": "300",
        "memory.peak": "400",
        "memory.stat": "file 1\ninactive_file 100\n",
        "cpu.stat": "usage_usec 2500000\nthrottled_usec 500000\n",
    }
    for name, text in (v1 if version == 1 else v2).items():
        only(group, name).write_text(text)
    used = group.used()
    assert (used.memory, used.peak, used.cpu_seconds, used.throttled_seconds) == (200, 400, 2.5, 0.5)


@pytest.mark.parametrize("version", [1, 2])
def test_a_hosts_own_kills_are_counted(tmp_path: Path, version: int) -> None:
    tree, here = hybrid(tmp_path) if version == 1 else unified(tmp_path)
    group = EngineGroup(here, "demo", tree).instance("demo-0.1", LIMITS)
    hosts = [group.host(), group.host()]
    name = "memory.oom_control" if version == 1 else "memory.events"
    (file,) = tmp_path.rglob(f"host2/{name}")
    file.write_text("oom_kill 3\n")
    assert [host.oom_kills() for host in hosts if host] == [0, 3]


def test_everything_in_a_hosts_group_is_killed(tmp_path: Path) -> None:
    tree, here = hybrid(tmp_path)
    host = EngineGroup(here, "demo", tree).instance("demo-0.1", LIMITS).host()
    assert host is not None
    assert not host.kill()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    (procs,) = tmp_path.rglob("host1/cgroup.procs")
    procs.write_text(f"{child.pid}\n0\n")  # 0: of another pid namespace
    assert host.kill()
    assert child.wait() == -signal.SIGKILL


def test_what_a_killed_engine_left_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    tree, here = hybrid(tmp_path)
    dead, alive = (EngineGroup(here, name, tree) for name in ("dead", "alive"))
    for engine in (dead, alive):
        engine.instance("demo-0.1", LIMITS).host()
    for lock in dead._locks:  # as the kernel closes them
        os.close(lock)
    dead._locks.clear()
    (procs,) = [one for one in tmp_path.rglob("host1/cgroup.procs") if "dead" in str(one)]
    procs.write_text("0\n")
    assert not tidy(here.bases, tree), "something is still in it"
    procs.write_text("")
    assert tidy(here.bases, tree)
    left = {path.name.partition(".")[0] for path in tmp_path.rglob("eas-engine-*")}
    assert left == {"eas-engine-alive"}


@given(
    st.builds(
        Limits,
        cpu=st.none() | st.floats(0.001, 4096),
        memory=st.none() | st.integers(1, 2**51),
        best_effort=st.booleans(),
    )
)
def test_what_is_written_is_what_the_kernel_takes(limits: Limits) -> None:
    v1 = {one.file: one.text for one in settings_v1(limits)}
    v2 = {one.file: one.text for one in settings_v2(limits)}
    assert ("memory.max" in v2) == ("memory.limit_in_bytes" in v1) == (limits.memory is not None)
    assert 2 <= shares(limits) <= 262_144
    assert 1 <= weight(limits) <= 10_000
    if limits.cpu is not None:
        assert int(v1["cpu.cfs_quota_us"]) >= 1000
        assert v2["cpu.max"] == f"{v1['cpu.cfs_quota_us']} 100000"
    if limits.best_effort:
        assert (v1["cpu.shares"], v2["cpu.weight"]) == ("2", "1")


def test_the_kernels_files_are_never_made(tmp_path: Path) -> None:
    files = KernelFiles()
    files.make(tmp_path / "group")
    with pytest.raises(FileNotFoundError):
        files.write(tmp_path / "group/memory.max", "1")
    (tmp_path / "group/x").write_text("max\n")
    files.write(tmp_path / "group/x", "7")
    assert number(tmp_path / "group/y") is None
    (tmp_path / "group/t").write_text("a 1\nb x\n\nc\n")
    assert table(tmp_path / "group/t") == {"a": 1}
