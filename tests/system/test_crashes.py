"""Warm-up, the causes of deaths that need more than a signal, and crashes that are kept."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eas_processors import faults
from support import compiled
from support.engine import Engine, end_process, eventually
from support.engines import Engines

BLOCKING = {"runtime": {"enable_crash_block": True}}
MEMORY = Path("/sys/fs/cgroup/memory")


def eas(engine: Engine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the command line, about this engine's state directory."""
    command = [sys.executable, "-m", "eas_engine", *arguments, "--state-dir", str(engine.state_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def last_crash(engine: Engine, number: int = 0) -> dict[str, Any]:
    crash: dict[str, Any] = engine.instance(number)["last_crash"] or {}
    return crash


def kept(engine: Engine, number: int = 0) -> Path:
    """The scene of an instance's crash, once it is written."""
    return Path(eventually(lambda: last_crash(engine, number).get("scene"), "it is kept"))


# -- warm-up


def test_every_instance_is_warmed_up_before_it_is_ready_also_when_it_comes_again(
    engines: Engines, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "b.bin").write_bytes(b"\x00two")
    (data / "a.txt").write_bytes(b"do=echo\r\n")
    engine = engines(
        {"keepalive": 60_000},
        metadata={"instance": 2, "warm_up_count": 3},
        warm_up_data_path=str(data),
    )
    eventually(lambda: len(engine.journal("process")) == 12, "both are warmed up")
    assert [one["id"] for one in engine.journal("process")].count("warm-up-0006") == 2
    eventually(lambda: {one["state"] for one in engine.status()["instances"]} == {"READY"}, "both are ready")
    assert "warm-up: done, 2 requests, each 3 times" in engine.log
    end_process(engine.instance(1)["pids"][0])
    eventually(lambda: len(engine.journal("process")) == 18, "the new one, too")
    assert engine.ask(body=b"x").body == b"x"


def test_a_warm_up_that_fails_three_times_ends_the_engine(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"do=answer&status=503&size=9&fill=n")
    engine = engines(ready=False, warm_up_data_path=str(tmp_path / "w.bin"))
    status, body = engine.get("/readyz")
    assert status == 503, body
    assert engine.wait() == 4
    assert len(engine.journal("process")) == 3
    told = "failed to start 3 times in a row: warm-up: w.bin, try 1 of 5: answered 503: nnnnnnnnn"
    assert told in engine.log


def test_a_warm_up_that_fails_later_keeps_it_from_ready_and_readyz_says_why(
    engines: Engines, tmp_path: Path
) -> None:
    (tmp_path / "w.txt").write_text(f"do=echo&once={tmp_path / 'first'}\ndo=wait&file={tmp_path / 'warm'}\n")
    (tmp_path / "warm").touch()
    engine = engines({"keepalive": 1000}, warm_up_data_path=str(tmp_path / "w.txt"))
    (tmp_path / "warm").unlink()
    end_process(engine.host)
    why = b"warm-up: w.txt, line 2, try 1 of 5: no answer within 2 s (twice rpc.keepalive)"
    eventually(lambda: why in engine.get("/readyz")[1], "the reason is told")
    assert engine.get("/readyz")[0] == 503
    assert "in wait" in engine.log  # the stacks
    assert engine.process.poll() is None
    (tmp_path / "warm").touch()
    engine.wait_ready()
    restarts = engine.instance()["restarts"]
    assert restarts["killed"] == 1
    assert restarts["warm_up"] >= 1
    assert engine.metric("eas_instance_restarts_total", cause="warm_up") == restarts["warm_up"]


@pytest.mark.parametrize(
    ("told", "kind"),
    [("do=segfault", "signal"), ("do=vanish&code=5", "exit"), ("do=exit&code=5", "warm_up")],
)
def test_a_crash_in_the_warm_up_costs_a_start(engines: Engines, tmp_path: Path, told: str, kind: str) -> None:
    (tmp_path / "w.bin").write_text(f"{told}&once={tmp_path / 'done'}")
    engine = engines(warm_up_data_path=str(tmp_path / "w.bin"))
    assert (last_crash(engine)["kind"], last_crash(engine)["state"]) == (kind, "WARMING")
    assert engine.ask(body=b"x").body == b"x"


def test_the_test_command_warms_up(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"do=fail&text=cold")
    (tmp_path / "service.json").write_text(
        json.dumps(
            {
                "name": "faulty",
                "processor_type": "python",
                "processor_entry": str(faults.ENTRY),
                "warm_up_data_path": "w.bin",
            }
        )
    )
    command = [sys.executable, "-m", "eas_engine", "test", "--config", str(tmp_path / "service.json")]
    done = subprocess.run([*command, "--text", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "warm-up: w.bin, try 1 of 5: " in done.stderr


# -- causes


@pytest.mark.parametrize(
    ("to", "code", "kind"),
    [("link", "instance_link_broken", "link"), ("control", "instance_control_broken", "control")],
)
def test_nonsense_on_a_socket_of_the_engines(engines: Engines, to: str, code: str, kind: str) -> None:
    engine = engines({"keepalive": 60_000})
    answer = engine.ask(f"do=scribble&to={to}")
    assert (answer.status, answer.code) == (500, code)
    assert engine.ask(body=b"back").body == b"back"
    assert engine.instance()["restarts"] == {kind: 1}


def test_an_escaping_cpp_exception_is_named(engines: Engines) -> None:
    library = compiled.library("faults.cpp")
    engine = engines(
        {"keepalive": 60_000}, processor_type="cpp", processor_path=str(library), processor_entry=library.name
    )
    answer = engine.ask(body=b"do=throw")
    assert (answer.status, answer.code) == (500, "instance_cpp_exception")
    assert "escaping C++ exception: " in answer.text
    engine.wait_metric("eas_instance_restarts_total", 1, cause="cpp_exception")
    assert engine.instance()["restarts"] == {"cpp_exception": 1}


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A memory cgroup of our own; its processes go back to ours at the end."""
    own = next(
        (
            line.split(":", 2)[2]
            for line in Path("/proc/self/cgroup").read_text().splitlines()
            if ":memory:" in line
        ),
        None,
    )
    if own is None or not MEMORY.is_dir():
        pytest.skip("no memory cgroups of version 1 on this machine")
    parent = MEMORY / own.lstrip("/")
    made = (parent if parent.is_dir() else MEMORY) / f"eas-test-{secrets.token_hex(4)}"
    try:
        made.mkdir()
        (made / "memory.limit_in_bytes").write_text(str(400 << 20))
    except OSError as error:
        pytest.skip(f"a memory cgroup can't be made: {error}")
    yield made
    eventually(lambda: not (made / "cgroup.procs").read_text(), "its processes have ended")
    made.rmdir()


def test_a_host_without_memory_is_named(
    engines: Engines, cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EAS_CGROUPS", "off")  # else it has one of its own, beside this one
    engine = engines({"keepalive": 60_000, "worker_threads": 1})
    try:
        (cgroup / "cgroup.procs").write_text(str(engine.process.pid))
        before = engine.host
        end_process(before)  # the next one is born in the cgroup
        assert engine.ask(body=b"x").body == b"x"
        answer = engine.ask(f"do=leak&size={2 << 30}")
        assert (answer.status, answer.code) == (500, "instance_out_of_memory")
        assert engine.ask(body=b"back").body == b"back"
        assert engine.instance()["restarts"] == {"killed": 1, "oom": 1}
        assert last_crash(engine)["cause"].startswith("out of memory: ")
    finally:
        engine.kill()


# -- crashes that are kept


def test_a_crash_is_kept_shown_and_cleared(engines: Engines) -> None:
    engine = engines({"keepalive": 60_000, "worker_threads": 1}, **BLOCKING)
    before = engine.host
    crashed = engine.ask("do=segfault", b"the culprit", headers={"X-Api-Token": "tell-nobody"})
    assert (crashed.status, crashed.code) == (500, "instance_crashed")
    place = kept(engine)
    refused = engine.ask(body=b"x")
    assert (refused.status, refused.code) == (503, "no_instance")
    assert engine.instance()["state"] == "BLOCKED"
    assert b"crash clear" in engine.get("/readyz")[1]

    record = json.loads((place / "crash.json").read_text())
    assert (record["instance"], record["pid"], record["cause"]["kind"]) == ("faulty-0", before, "signal")
    (request,) = record["in_flight"]
    assert (place / request["body"]).read_bytes() == b"the culprit"
    head = (place / request["head"]).read_text()
    assert "do=segfault" in head
    assert "tell-nobody" not in head + json.dumps(record)
    assert engine.token not in head + json.dumps(record)
    assert "segfault" in (place / "log.txt").read_text()
    core = record["core"]
    assert (place / core["path"]).stat().st_size if core["path"] else core["why_none"]

    listed = eas(engine, "crash", "show")
    assert place.name in listed.stdout
    assert "signal 11 (SIGSEGV)" in listed.stdout
    shown = eas(engine, "crash", "show", place.name)
    assert str(place / request["body"]) in shown.stdout
    assert json.loads(eas(engine, "crash", "show", place.name, "--json").stdout)["path"] == str(place)
    assert eas(engine, "crash", "show", "another").returncode == 1
    unknown = eas(engine, "crash", "show", "--name", "another")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert f"with crashes or running: {engine.name}" in unknown.stderr

    assert eas(engine, "crash", "clear", "another").returncode == 1
    assert engine.instance()["state"] == "BLOCKED"
    cleared = eas(engine, "crash", "clear", place.name)
    assert (cleared.returncode, cleared.stderr) == (0, "")
    assert cleared.stdout == f"{place.name} deleted\nfaulty-0 is started again\n"
    engine.wait_ready()
    assert engine.ask(body=b"again").body == b"again"
    assert not place.exists()
    assert engine.instance()["restarts"] == {"signal": 1}
    assert eas(engine, "crash", "clear").returncode == 1


def test_clearing_needs_the_admin_token(engines: Engines) -> None:
    engine = engines({"worker_threads": 1}, **BLOCKING)
    engine.ask("do=vanish")
    kept(engine)
    url = engine.record["admin_url"] + "/api/v1/crashes/clear"
    for headers in ({}, {"Authorization": f"Bearer {engine.token}"}):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(urllib.request.Request(url, b"", headers, method="POST"))
        assert raised.value.code == 401
        raised.value.close()
    assert engine.instance()["state"] == "BLOCKED"


def test_a_blocked_instance_is_none_and_the_others_serve(engines: Engines) -> None:
    engine = engines({"keepalive": 60_000, "worker_threads": 1}, metadata={"instance": 2}, **BLOCKING)
    eventually(lambda: {one["state"] for one in engine.status()["instances"]} == {"READY"}, "both are ready")
    capacity = engine.metric("eas_queue_capacity")
    assert engine.ask("do=vanish").status == 500
    eventually(lambda: "BLOCKED" in [one["state"] for one in engine.status()["instances"]], "it is blocked")
    assert engine.metric("eas_queue_capacity") == capacity / 2
    assert {engine.ask(body=b"x").status for _ in range(5)} == {200}
    assert engine.get("/readyz")[0] == 200


def test_what_was_kept_outlives_the_engine(engines: Engines) -> None:
    engine = engines({"worker_threads": 1}, **BLOCKING)
    engine.ask("do=vanish&code=9")
    place = kept(engine)
    assert engine.stop() == 0
    assert "exit 9" in eas(engine, "crash", "show").stdout
    again = engines.again(engine)
    assert again.ask(body=b"x").body == b"x", "a crash of an engine before blocks nothing"
    assert again.stop() == 0
    assert eas(engine, "crash", "clear").stdout == f"{place.name} deleted\n"
    assert not place.exists()


def test_the_stacks_of_a_stuck_host_are_kept(engines: Engines) -> None:
    engine = engines({"keepalive": 500, "stuck_timeout": 1000, "worker_threads": 1}, **BLOCKING)
    assert engine.ask("do=hold_gil&seconds=3600").status == 408
    place = kept(engine)
    assert "in hold_gil" in (place / "stacks.txt").read_text()
    record = json.loads((place / "crash.json").read_text())
    assert record["error"] == "instance_stuck"
    assert record["core"]["why_none"] == "such an end leaves none"


def test_nobody_else_may_read_what_was_kept(engines: Engines) -> None:
    engine = engines({"worker_threads": 1}, **BLOCKING)
    engine.ask("do=segfault", b"private")
    place = kept(engine)
    for directory, names, files in os.walk(place.parent):
        for name in (*names, *files, "."):
            assert (Path(directory) / name).stat().st_mode & 0o077 == 0, name
