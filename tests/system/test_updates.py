"""Updates of a real engine under load: clients see nothing but answers of one version or the other."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import versioned
from support.engine import Engine, eventually
from support.engines import Engines
from support.keepalive import KeepAlive


def config(version: str, start: str = "", **metadata: Any) -> dict[str, Any]:
    """A service.json of that version."""
    return {
        "name": "fleet",
        "token": "c2VjcmV0",
        "processor_type": "python",
        "processor_path": "package",
        "processor_entry": "versioned.py",
        "model_config": {"version": version, "start": start},
        "metadata": {"instance": 2, "rpc": {"keepalive": 60_000}, **metadata},
    }


@pytest.fixture
def fleet(engines: Engines, tmp_path: Path) -> Engine:
    """Two instances of version one."""
    directory = tmp_path / "engine0"
    package = directory / "package"
    package.mkdir(parents=True)
    shutil.copy(versioned.__file__, package)
    engine = Engine(directory, config("one"))
    engines.started.append(engine)
    engine.wait_ready()
    eventually(lambda: all(one["state"] == "READY" for one in engine.status()["instances"]), "both are ready")
    return engine


def run(engine: Engine, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command of the command line's, for this engine."""
    command = [sys.executable, "-m", "eas_engine", *arguments, "--state-dir", str(engine.state_dir)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=engine.directory, input=stdin, timeout=120, check=False
    )


def update(engine: Engine, *arguments: str, **content: Any) -> subprocess.CompletedProcess[str]:
    """Write a service.json and update to it."""
    (engine.directory / "next.json").write_text(json.dumps(config(**content)))
    return run(engine, "update", "next.json", *arguments)


def begin_update(engine: Engine) -> subprocess.Popen[bytes]:
    """To ``next.json``, without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "eas_engine", "update", "next.json", "--state-dir", str(engine.state_dir)],
        cwd=engine.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def versions(engine: Engine) -> list[str]:
    """The state of each."""
    found: list[dict[str, Any]] = json.loads(run(engine, "versions", "--json").stdout)
    return [one["state"] for one in found]


def instances(engine: Engine) -> list[dict[str, Any]]:
    """What the status says of each."""
    found: list[dict[str, Any]] = engine.status()["instances"]
    return found


def test_rollouts_good_and_bad_lose_no_request_and_answer_none_wrong(fleet: Engine) -> None:
    with KeepAlive(fleet) as load:
        for number in range(6):
            good = update(fleet, version=f"good{number}")
            assert (good.returncode, good.stderr.count("Traceback")) == (0, 0), good.stderr
            eventually(lambda n=number: load.since(f"good{n}") > 20, "the new version answers")  # type: ignore[misc]
            bad = update(fleet, version=f"bad{number}", start="refuse" if number % 2 else "crash")
            assert bad.returncode == 1
            assert "rolled back" in bad.stderr
    assert load.wrong == []
    assert [(one["version"], one["release"]) for one in instances(fleet)] == [(12, 12)] * 2
    assert not [version for version in load.answers if version.startswith("bad")]
    assert versions(fleet) == ["replaced", *["replaced", "failed"] * 5, "current", "failed"]
    assert fleet.metric("eas_requests_total", status="200") == load.count


def kill_one_that_lives(fleet: Engine) -> None:
    """The first of them may have left since the engine told its pid."""
    for pid in [pid for one in fleet.status()["instances"] for pid in one["pids"]]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return
    raise AssertionError("no instance lives")


def test_killing_instances_during_a_rollout_costs_only_what_they_had_begun(fleet: Engine) -> None:
    with KeepAlive(fleet) as load:
        for number in range(3):
            (fleet.directory / "next.json").write_text(json.dumps(config(f"v{number}")))
            updating = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "eas_engine",
                    "update",
                    "next.json",
                    "--state-dir",
                    str(fleet.state_dir),
                ],
                cwd=fleet.directory,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            eventually(lambda p=updating: len(instances(fleet)) > 2 or p.poll() is not None, "it rolls")  # type: ignore[misc]
            kill_one_that_lives(fleet)
            assert updating.wait(120) == 0
    crashed = [one for one in load.wrong if " 500 " in one]
    assert load.wrong == crashed


def test_scaling_up_and_down_and_stopping_under_load(fleet: Engine) -> None:
    with KeepAlive(fleet) as load:
        assert run(fleet, "scale", "4").returncode == 0
        assert len(fleet.status()["instances"]) == 4
        assert run(fleet, "scale", "1").returncode == 0
        before = load.count
        eventually(lambda: load.count > before + 50, "one goes on")
        assert run(fleet, "restart").returncode == 0
    assert load.wrong == []


def test_from_one_to_eight_to_none_and_back_under_load(fleet: Engine) -> None:
    scaler = {"min": 0, "max": 8}
    (fleet.directory / "next.json").write_text(json.dumps(config("one", instance=1) | {"autoscaler": scaler}))
    assert run(fleet, "update", "next.json").returncode == 0
    with KeepAlive(fleet) as load:
        assert run(fleet, "scale", "8").returncode == 0
        assert sum(one["state"] == "READY" for one in instances(fleet)) == 8
        woken = run(fleet, "scale", "0")
        assert woken.returncode == 0, woken.stderr
        before = load.count
        eventually(lambda: load.count > before + 50, "a request has woken the service, and is served")
    assert load.wrong == []
    assert 1 <= len(instances(fleet)) < 8


def test_settings_apply_at_once_without_touching_instances(fleet: Engine) -> None:
    before = [one["pids"] for one in fleet.status()["instances"]]
    assert run(fleet, "update", "-D", "metadata.rpc.max_queue_size=1", "-D", "token=bmV3").returncode == 0
    assert fleet.ask(body=b"x").status == 401
    fleet.token = "bmV3"
    assert fleet.ask(body=b"x").body == b"one x"
    assert fleet.status()["queue"]["capacity"] == 2 * (1 + 5)
    assert [one["pids"] for one in instances(fleet)] == before
    assert [(one["version"], one["release"]) for one in instances(fleet)] == [(2, 1)] * 2
    first, second = json.loads(run(fleet, "versions", "--json").stdout)
    assert first["time"] < second["time"] <= first["replaced_at"]
    assert second["replaced_at"] is None


def test_a_dry_run_changes_nothing(fleet: Engine) -> None:
    before = fleet.status()["configuration_version"]
    dry = update(fleet, "--dry-run", version="two")
    assert dry.returncode == 0
    assert "model_config" in dry.stdout
    assert fleet.status()["configuration_version"] == before
    assert fleet.ask(body=b"x").body == b"one x"


def test_a_file_that_is_no_service_is_refused_with_its_lines(fleet: Engine) -> None:
    (fleet.directory / "next.json").write_text('{"name": "fleet",\n "metadata": {"instance": "many"}}')
    refused = run(fleet, "update", "next.json")
    assert refused.returncode == 2
    assert "line 2" in refused.stderr
    assert "metadata.instance" in refused.stderr
    assert fleet.ask(body=b"x").body == b"one x"


def test_sighup_reads_the_file_again(fleet: Engine) -> None:
    (fleet.directory / "service.json").write_text(json.dumps(config("two")))
    fleet.signal(signal.SIGHUP)
    eventually(lambda: fleet.ask(body=b"x").body == b"two x", "version two answers")
    (fleet.directory / "service.json").write_text("{")
    fleet.signal(signal.SIGHUP)
    eventually(lambda: "nothing was changed" in fleet.log, "it is refused")
    assert fleet.ask(body=b"x").body == b"two x"


def test_an_engine_killed_during_an_update_comes_back_in_the_last_complete_version(
    fleet: Engine, engines: Engines, tmp_path: Path
) -> None:
    assert update(fleet, version="two").returncode == 0
    gate = tmp_path / "gate"
    (fleet.directory / "next.json").write_text(json.dumps(config("three", str(gate))))
    updating = begin_update(fleet)
    eventually(lambda: len(fleet.status()["instances"]) > 2, "version three starts")
    fleet.process.kill()
    fleet.process.wait()
    assert updating.wait(60) != 0

    again = Engine(fleet.directory, config("one"), state=fleet.state_dir)
    engines.started.append(again)
    again.wait_ready()
    assert again.ask(body=b"x").body == b"two x"
    assert versions(again) == ["replaced", "current", "failed"]
    again.stop()

    fresh = Engine(fleet.directory, config("one"), "--fresh", state=fleet.state_dir)
    engines.started.append(fresh)
    fresh.wait_ready()
    assert fresh.ask(body=b"x").body == b"one x"


def test_a_rollback_brings_the_processor_as_it_was_and_a_restart_of_the_engine_keeps_it(
    fleet: Engine, engines: Engines
) -> None:
    processor = fleet.directory / "package/versioned.py"
    processor.write_text(processor.read_text().replace('f"{self.version}', 'f"edited {self.version}'))
    assert update(fleet, version="one").returncode == 0
    assert fleet.ask(body=b"x").body == b"edited one x"

    assert run(fleet, "rollback").returncode == 0
    assert fleet.ask(body=b"x").body == b"one x"
    fleet.stop()
    again = Engine(fleet.directory, config("one"), state=fleet.state_dir)
    engines.started.append(again)
    again.wait_ready()
    assert again.ask(body=b"x").body == b"one x"
    assert "it has the files that it had" in again.log

    assert update(again, version="one").returncode == 0
    assert again.ask(body=b"x").body == b"edited one x"


def test_what_was_gone_back_from_does_not_come_back_when_the_engine_is_started_again(
    fleet: Engine, engines: Engines
) -> None:
    """The file and the code were edited in place, and a service manager starts the same command."""
    processor = fleet.directory / "package/versioned.py"
    processor.write_text(processor.read_text().replace('f"{self.version}', 'f"edited {self.version}'))
    (fleet.directory / "service.json").write_text(json.dumps(config("two"), indent=2))
    assert run(fleet, "update", "service.json").returncode == 0
    assert fleet.ask(body=b"x").body == b"edited two x"
    assert run(fleet, "rollback").returncode == 0
    fleet.process.kill()
    fleet.process.wait()

    again = Engine(fleet.directory, config("two"), state=fleet.state_dir)
    engines.started.append(again)
    again.wait_ready()
    assert again.ask(body=b"x").body == b"one x"
    assert "an operator went back from (version 2)" in again.log
    assert versions(again) == ["current", "replaced"]
    again.stop()

    fresh = Engine(fleet.directory, config("two"), "--fresh", state=fleet.state_dir)
    engines.started.append(fresh)
    fresh.wait_ready()
    assert fresh.ask(body=b"x").body == b"edited two x"
    fresh.stop()

    processor.write_text(processor.read_text().replace('f"edited', 'f"newer'))
    newer = Engine(fleet.directory, config("two"), state=fleet.state_dir)
    engines.started.append(newer)
    newer.wait_ready()
    assert newer.ask(body=b"x").body == b"newer two x"
    assert versions(newer) == ["replaced", "replaced", "replaced", "current"]
    assert run(newer, "rollback").returncode == 0
    assert newer.ask(body=b"x").body == b"edited two x"


def test_a_canary_gets_its_share_until_it_is_promoted(fleet: Engine) -> None:
    assert update(fleet, "--canary", "25%", version="two").returncode == 0
    answers = [fleet.ask(body=b"x").body for _ in range(40)]
    assert answers.count(b"two x") == 10
    assert json.loads(run(fleet, "canary", "--json").stdout)["canary"]["requests"] >= 10
    assert run(fleet, "promote").returncode == 0
    assert fleet.ask(body=b"x").body == b"two x"


def test_a_canary_that_fails_its_objective_goes_by_itself(fleet: Engine) -> None:
    assert update(fleet, "--canary", "50%", "--slo", "errors=1%", version="two").returncode == 0

    def broken() -> bool:
        fleet.ask(body=b"die")
        return "trying" not in versions(fleet)

    eventually(broken, "it is dismissed")
    assert "its objective is not met" in run(fleet, "events").stdout
    assert {fleet.ask(body=b"x").body for _ in range(6)} == {b"one x"}


def test_a_shadow_answers_nobody_and_is_compared(fleet: Engine) -> None:
    assert update(fleet, "--shadow", "50%", version="two").returncode == 0
    before = fleet.metric("eas_requests_total")
    assert {fleet.ask(body=b"x").body for _ in range(20)} == {b"one x"}

    def compared() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run(fleet, "canary", "--json").stdout)
        return found

    eventually(lambda: compared()["different"] == 10, "ten copies were compared")
    assert fleet.metric("eas_requests_total") == before + 20
    assert run(fleet, "rollback").returncode == 0


def test_batching_is_turned_on_and_off_without_a_lost_request(fleet: Engine) -> None:
    source = fleet.directory / "package" / "versioned.py"
    source.write_text(
        source.read_text()
        + "\n    def process_batch(self, requests):\n        return [self.process(one) for one in requests]\n"
    )
    with KeepAlive(fleet) as load:
        assert update(fleet, version="single").returncode == 0
        rpc = {"keepalive": 60_000, "batching": True}
        on = update(fleet, version="batched", rpc=rpc)
        assert on.returncode == 0, on.stderr
        eventually(lambda: load.since("batched") > 20, "batches are answered")
        assert update(fleet, version="again").returncode == 0
        eventually(lambda: load.since("again") > 20, "single requests are answered")
    assert load.wrong == []
