"""What an instance may use, with real processors that want more: by cgroups, and without them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from eas_engine.spec.cgroups import Cgroups, find
from support.engine import Engine, end_process, eventually, gone
from support.engines import Engines

MB = 2**20
PATIENT = {"keepalive": 100_000, "worker_threads": 2}
SCRATCH = "eas.aliyun.com/extra-ephemeral-storage"
PROCESSOR = """
import json, os, shutil, sys, tempfile, time
import eas_sdk

kept = []


def grow():
    while True:
        kept.append(b"x" * (1 << 20))


def child(action, *, wait=True):
    pid = os.fork()
    if pid == 0:
        action()
        os._exit(0)
    if wait:
        os.waitpid(pid, 0)
    return pid


def burn(seconds, children):
    '''CPU seconds for each second, of processes that want a CPU each.'''
    def busy():
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            sum(range(20_000))
    began = time.monotonic()
    pids = [child(busy, wait=False) for _ in range(children)]
    used = sum(sum(os.wait4(pid, 0)[2][:2]) for pid in pids)
    return used / (time.monotonic() - began)


def write(path, size, chunk=b"x" * (1 << 20)):
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(chunk)


def see():
    shm = os.statvfs("/dev/shm")
    return {
        "tmpdir": os.environ.get("TMPDIR", ""),
        "tmp": sorted(os.listdir("/tmp")),
        "gettempdir": tempfile.gettempdir(),
        "shm": shm.f_blocks * shm.f_frsize,
        "cpus": len(os.sched_getaffinity(0)),
        "environment": {k: v for k, v in os.environ.items() if k == "EAS_CPUS" or k.endswith("THREADS")},
        "cgroup": open("/proc/self/cgroup").read(),
    }


class Processor(eas_sdk.Processor):
    def process(self, request):
        told = json.loads(bytes(request.body))
        do = told.pop("do")
        if do == "grow":
            grow()
        if do == "child grows":
            child(grow)
            time.sleep(3600)
        if do == "burn":
            return json.dumps(burn(**told)).encode()
        if do == "write":
            write(**told)
            time.sleep(3600)
        if do == "temporary":
            with tempfile.TemporaryFile() as file:
                file.write(b"x" * told["size"])
                file.flush()
                time.sleep(3600)
        if do == "fill shm":
            try:
                write("/dev/shm/eas-test-limits", told["size"])
            except OSError as error:
                return error.strerror.encode()
            return b"written"
        if do == "touch":
            write(told["path"], 0)
        return json.dumps(see()).encode()
"""


def here() -> Cgroups:
    """What this machine and this user allow."""
    return find()


def needs(*controllers: str) -> None:
    lacking = [one for one in controllers if here().base(one) is None]
    if lacking:
        pytest.skip(f"no cgroup can be made here: {here().reason(lacking[0])}")


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not in /tmp, which would then be what every instance needs to see."""
    made = Path(tempfile.mkdtemp(prefix="eas-limits-", dir="/var/tmp"))
    (made / "app.py").write_text(PROCESSOR)
    yield made
    shutil.rmtree(made)


@pytest.fixture(params=["cgroup", "without"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With control groups, and as where they may not be made."""
    if request.param == "cgroup":
        needs("memory", "cpu")
        monkeypatch.delenv("EAS_CGROUPS", raising=False)
    else:
        monkeypatch.setenv("EAS_CGROUPS", "off")
    return str(request.param)


Start = Callable[..., Engine]


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Starts engines; each ends in good order, and nothing of them is left."""
    made: list[Engine] = []

    def one(name: str = "limited", /, *, scratch: str = "", **metadata: Any) -> Engine:
        config = {
            "name": name,
            "token": "c2VjcmV0",
            "processor_type": "python",
            "processor_entry": "app.py",
            "metadata": {"rpc": PATIENT, **metadata},
        }
        if scratch:
            config["features"] = {SCRATCH: scratch}
        engine = Engine(directory, config)
        made.append(engine)
        engine.wait_ready()
        return engine

    yield one
    for engine in made:
        if engine.process.poll() is None:
            assert engine.stop() == 0, engine.log
    for engine in made:
        assert groups_of(engine) == []
        assert not (engine.state_dir / engine.name / "scratch").exists()


def groups_of(engine: Engine) -> list[Path]:
    """The engine's control groups."""
    return [path for base in here().bases for path in base.path.glob(f"eas-engine-*.{engine.process.pid}.*")]


def ask(engine: Engine, do: str, **told: object) -> Any:
    answer = engine.ask(body=json.dumps({"do": do, **told}).encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def assert_ended(engine: Engine, code: str, kind: str, words: str, do: str, **told: object) -> str:
    """The request ends the instance, for this reason; another one is there soon."""
    answer = engine.ask(body=json.dumps({"do": do, **told}).encode())
    assert (answer.status, answer.code) == (500, code), answer.body
    assert words in answer.text
    engine.wait_ready()
    seen = engine.instance()
    assert (seen["last_crash"]["kind"], seen["restarts"]) == (kind, {kind: 1})
    assert words in seen["last_crash"]["cause"]
    return str(seen["last_crash"]["cause"])


@pytest.mark.parametrize("do", ["grow", "child grows"])
def test_memory_over_the_limit_ends_the_instance(mode: str, start: Start, do: str) -> None:
    engine = start(memory=160)
    by = engine.instance()["limits"]["memory"]
    assert by == {"cgroup": here().by("memory"), "without": "watchdog"}[mode]
    cause = assert_ended(engine, "instance_out_of_memory", "oom", " MB used, 160 MB allowed", do)
    assert cause.startswith("OOMKilled")
    if mode == "cgroup":
        assert int(cause.partition(" MB used")[0].rpartition(" ")[2]) <= 160
    peak = engine.instance()["used"]["peak"]
    assert 0 < peak < 160 * MB, "of the new one"
    assert engine.metric("eas_instance_memory_peak_bytes") > 0


def test_cpu_over_the_limit_waits(mode: str, start: Start) -> None:
    """Two processes that want a CPU each; the limit holds however slow the machine is."""
    cpu, allowed = (0.2, 0.2) if mode == "cgroup" else (0.5, 1.0)
    engine = start(cpu=cpu)
    assert engine.instance()["limits"]["cpu"] == {"cgroup": here().by("cpu"), "without": "affinity"}[mode]
    share = ask(engine, "burn", seconds=1.5, children=2)
    if mode == "cgroup":
        assert engine.instance()["used"]["throttled_seconds"] > 0
        assert engine.metric("eas_instance_throttled_seconds_total") > 0
    else:
        assert ask(engine, "see")["cpus"] == 1
    assert engine.stop() == 0
    free = start("free")
    assert "cpu" not in free.instance()["limits"]
    unlimited = ask(free, "burn", seconds=1.5, children=2)
    assert share < allowed * 1.4
    if mode == "cgroup":
        assert share < unlimited


def test_libraries_are_told_and_the_service_has_the_last_word(start: Start) -> None:
    engine = start(cpu=0.5)
    told = ask(engine, "see")["environment"]
    assert told.pop("EAS_CPUS") == "0.5"
    assert "OMP_NUM_THREADS" in told
    assert set(told.values()) == {"1"}


@pytest.mark.parametrize("do", ["write", "temporary"])
def test_scratch_over_the_limit_ends_the_instance_and_the_next_has_none(
    mode: str, start: Start, do: str
) -> None:
    engine = start(scratch="8Mi", memory=400)
    seen = ask(engine, "see")
    assert seen["gettempdir"] == seen["tmpdir"]
    told = {"size": 24 * MB} if do == "temporary" else {"size": 24 * MB, "path": seen["tmpdir"] + "/x"}
    words = " MB written, 8 MB allowed"  # it may be caught in the middle
    assert_ended(engine, "instance_storage_exceeded", "ephemeral_storage", words, do, **told)
    after = ask(engine, "see")
    assert after["tmpdir"] != seen["tmpdir"]
    assert list(Path(after["tmpdir"]).iterdir()) == []
    eventually(lambda: not Path(seen["tmpdir"]).exists(), "the old one is gone")


def test_tmp_is_the_scratch_directory(start: Start) -> None:
    engine = start(scratch="8Mi")
    by = engine.instance()["limits"]["scratch"]
    if by != "watchdog":
        pytest.skip(f"the kernel gives no mount namespace: {by}")
    ask(engine, "touch", path="/tmp/eas-test-limits")
    seen = ask(engine, "see")
    assert seen["tmp"] == ["eas-test-limits"]
    assert [one.name for one in Path(seen["tmpdir"]).iterdir()] == ["eas-test-limits"]
    assert not Path("/tmp/eas-test-limits").exists()
    assert engine.instance()["used"]["scratch"] is not None


def test_shm_is_private_and_as_large_as_said(mode: str, start: Start) -> None:
    engine = start(shm_size=0.015625)
    by = engine.instance()["limits"]["shm"]
    if by != "mount":
        assert by.startswith("nothing: ")
        pytest.skip(f"the kernel gives no mount namespace: {by}")
    assert ask(engine, "see")["shm"] == 16 * MB
    full = engine.ask(body=json.dumps({"do": "fill shm", "size": 24 * MB}).encode())
    assert full.body == b"No space left on device"
    assert not Path("/dev/shm/eas-test-limits").exists()
    large = json.dumps({"do": "see", "x": "y" * 5 * MB}).encode()  # its body goes through shared memory
    assert engine.ask(body=large).status == 200


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_child_in_a_session_of_its_own_ends_with_its_instance(
    mode: str, engines: Engines, how: str
) -> None:
    if mode == "without" and how == "killed":
        pytest.skip("without a cgroup nobody knows what a process that was killed had started")
    engine = engines()
    child = int(engine.ask("do=fork&session=1&seconds=3600").body)
    eventually(lambda: os.getsid(child) == child, "it has a session of its own")
    if how == "killed":
        end_process(engine.host)
    else:
        assert engine.stop() == 0
    eventually(lambda: gone(child), "the child is gone")


def test_hosts_of_an_instance_are_in_groups_of_their_own(start: Start) -> None:
    needs("memory", "cpu")
    engine = start(instance=2)
    names = set()
    for pid in (pid for one in engine.status()["instances"] for pid in one["pids"]):
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        line = next(one for one in lines if "eas-engine" in one and one.split(":")[1] in ("memory", ""))
        names.add(line.rpartition("/eas-engine-")[2].partition("/")[2])
    assert names == {"limited-0.1/host1", "limited-1.2/host1"}
    assert len(groups_of(engine)) == len(here().bases)
    assert engine.metric("eas_instance_memory_bytes") > 0
    assert all(one["used"]["cpu_seconds"] > 0 for one in engine.status()["instances"])


def test_what_a_killed_engine_left_is_cleared_by_the_next_start(tmp_path: Path) -> None:
    needs("memory")
    features = {SCRATCH: "1Gi"}
    engine = Engine.start(tmp_path, features=features)
    child = int(engine.ask("do=fork&session=1&seconds=3600").body)
    engine.kill()
    assert not gone(child), "nobody was there to end it"
    left = groups_of(engine)
    assert left
    again = Engine.start(tmp_path, features=features)
    eventually(lambda: gone(child), "the child is gone")
    eventually(lambda: not any(path.exists() for path in left), "its groups are gone")
    scratch = again.state_dir / again.name / "scratch"
    assert len(list(scratch.iterdir())) == 1, "that of the new instance"
    assert again.stop() == 0
    assert not scratch.exists()


def test_memory_of_another_kill_is_no_oom(start: Start) -> None:
    engine = start(memory=160)
    end_process(engine.host)
    eventually(lambda: engine.instance()["last_crash"], "it has died")
    assert engine.instance()["last_crash"]["kind"] == "killed"
    assert signal.SIGKILL.name in engine.instance()["last_crash"]["cause"]


def test_nothing_runs_longer_than_the_engine(mode: str, start: Start) -> None:
    engine = start(memory=300, cpu=1, shm_size=0.1, scratch="8Mi", instance=2)
    everybody = engine.processes()
    assert len(everybody) >= 2
    engine.kill()
    psutil.wait_procs(everybody, timeout=60)
    assert not any(one.is_running() for one in everybody)
    again = start()  # clears what is left
    eventually(lambda: groups_of(engine) == [], "the groups of the killed one are gone")
    assert again.stop() == 0
