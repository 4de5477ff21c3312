"""The engine settings on the command line: what beats what, and ``eas-engine pools``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from eas_engine import service
from eas_engine.cli.app import app
from eas_engine.options import ServeOptions
from eas_engine.spec.engine.load import here
from eas_engine.spec.engine.pools import pools_of
from eas_engine.spec.machine import this_machine
from eas_engine.state import StateDirectory
from eas_engine.supervisor.place import Limits, Place, Wishes
from eas_engine.supervisor.pools.ledger import DIRECTORY, Ledger
from support.wishes import Wishing

CPU = min(os.sched_getaffinity(0))
GROUP = f'[groups.fast]\ncpus = "{CPU}"\nmemory = "1Gi"\npriority = 7\n'


def eas(*arguments: str, **environment: str) -> Result:
    clean = {name: None for name in os.environ if name.startswith("EAS_")}
    result: Result = CliRunner().invoke(
        app, list(arguments), env={**clean, **environment}, prog_name="eas-engine"
    )
    return result


def serve(*arguments: str) -> str:
    """What a start says that is refused."""
    command = [sys.executable, "-m", "eas_engine", "serve", "--port", "0", "--admin-port", "0", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2, done
    return done.stderr


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    """What ``service.serve`` was called with."""
    calls: list[ServeOptions] = []

    def serve(options: ServeOptions) -> int:
        calls.append(options)
        return 0

    monkeypatch.setattr(service, "serve", serve)
    return calls


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "service.json"
    path.write_text(json.dumps({"name": "echo", "processor_type": "python", "processor_entry": "app.py"}))
    (tmp_path / "app.py").write_text("")
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(
        'host = "::1"\nport = 1\nadmin_host = "::1"\nadmin_port = 2\ncache_size = "1G"\nlog_format = "json"\n'
    )
    return path


class TestFlags:
    def test_the_file_gives_what_neither_a_flag_nor_a_variable_gives(
        self, served: list[ServeOptions], settings: Path
    ) -> None:
        done = eas("s.json", "--settings", str(settings), "--port", "10", EAS_ADMIN_PORT="20")
        assert (done.exit_code, done.stderr) == (0, "")
        assert served == [
            ServeOptions(
                config=Path("s.json"),
                settings=settings,
                host="::1",
                port=10,
                admin_host="::1",
                admin_port=20,
                cache_size="1G",
                log_format="json",
            )
        ]

    def test_a_flag_beats_a_variable_beats_the_file(self, served: list[ServeOptions], settings: Path) -> None:
        """In whatever order they stand."""
        named = ["--settings", str(settings)]
        assert eas("s.json", "--port", "5", *named, EAS_PORT="6").exit_code == 0
        assert eas("s.json", *named, EAS_PORT="6").exit_code == 0
        assert eas("s.json", EAS_SETTINGS=str(settings)).exit_code == 0
        assert eas("s.json").exit_code == 0
        assert [one.port for one in served] == [5, 6, 1, 8080]
        assert [one.settings for one in served] == [settings, settings, settings, None]

    @pytest.mark.parametrize("by", ["flag before", "flag behind", "variable"])
    def test_the_state_directorys_file_is_found(
        self, served: list[ServeOptions], tmp_path: Path, settings: Path, by: str
    ) -> None:
        settings.rename(tmp_path / "eas-engine.toml")
        flag = ["--state-dir", str(tmp_path)]
        if by == "variable":
            assert eas("s.json", EAS_STATE_DIR=str(tmp_path)).exit_code == 0
        else:
            more = ["--strict"]
            assert eas("s.json", *(flag + more if by == "flag before" else more + flag)).exit_code == 0
        assert served[0].port == 1
        assert served[0].settings is None, "whoever reads the rest finds it the same way"

    def test_the_cache_has_the_files_size(self, tmp_path: Path, settings: Path) -> None:
        flags = ["--state-dir", str(tmp_path), "--settings", str(settings), "--json"]
        for command in ("ls", "prune"):
            assert eas("cache", command, *flags).exit_code == 0
        assert json.loads(eas("cache", "ls", *flags).stdout)["limit_bytes"] == 2**30

    @pytest.mark.parametrize("text", ["port", 'port = "x"', "prot = 1", GROUP.replace(f'"{CPU}"', '"8191"')])
    def test_what_is_wrong_with_the_file_is_told_before_anything_starts(
        self, config: Path, settings: Path, tmp_path: Path, text: str
    ) -> None:
        settings.write_text(text)
        flags = ["--settings", str(settings), "--state-dir", str(tmp_path / "state")]
        assert serve(str(config), *flags).startswith(f"eas-engine: {settings}: ")
        done = eas("pools", *flags)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"eas-engine: {settings}: ")
        assert not (tmp_path / "state").exists()
        done = eas("check", str(config), *flags, "--json")
        assert done.exit_code == 2
        assert json.loads(done.stdout)["source"] == str(settings)

    def test_a_file_that_is_named_must_be_there(self, config: Path) -> None:
        assert serve(str(config), "--settings", "/nowhere.toml") == (
            "eas-engine: /nowhere.toml: there is no such file\n"
        )


def test_check_shows_every_key_with_its_origin(config: Path, settings: Path) -> None:
    settings.write_text(f"port = 1\n{GROUP}")
    given = ["check", str(config), "--settings", str(settings), "-D", "metadata.resource=fast"]
    done = eas(*given, "--json", EAS_GROUPS__FAST__PRIORITY="9", EAS_ADMIN_PORT="3")
    found = json.loads(done.stdout)["settings"]
    assert found["source"] == str(settings)
    assert {one["key"]: (one["value"], one["origin"]["kind"]) for one in found["values"]} == {
        "port": (1, "file"),
        "admin_port": ("3", "environment"),
        "groups.fast.cpus": (str(CPU), "file"),
        "groups.fast.memory": ("1Gi", "file"),
        "groups.fast.priority": ("9", "environment"),
    }
    shown = " ".join(eas(*given, COLUMNS="200").stdout.split())
    assert f"engine settings ({settings}): key value from port 1 line 1" in shown
    assert f"group fast (CPUs {CPU})" in shown


class TestPools:
    @pytest.fixture
    def digits(self, tmp_path: Path) -> Iterator[Wishing]:
        """An engine that has placed two instances."""
        (tmp_path / "eas-engine.toml").write_text(GROUP)
        pools = pools_of(here(None, tmp_path, {}))
        with StateDirectory.acquire(tmp_path, "digits", "team"):
            placer = Wishing(pools, Ledger(tmp_path, "digits", "team"), Wishes(resource="fast"))
            assert isinstance(placer.place("digits-0", Limits(cpu=0.75, memory=2**29)), Place)
            assert isinstance(placer.place("digits-1", Limits()), Place)
            yield placer

    def test_who_has_what_and_what_is_free(self, digits: Wishing, tmp_path: Path) -> None:
        found = json.loads(eas("pools", "--state-dir", str(tmp_path), "--json").stdout)
        assert found["settings"] == str(tmp_path / "eas-engine.toml")
        assert found["pools"][0] == {
            "name": "fast",
            "title": "group fast",
            "priority": 7,
            "cpus": str(CPU),
            "cpu": 1,
            "cpu_free": 0.25,
            "memory": 2**30,
            "memory_shared": False,
            "memory_free": 2**29,
            "cards": [],
            "cards_shared": True,
            "instances": ["team/digits-0", "team/digits-1"],
        }
        assert [
            (one["service"], one["instance"], one["cpu"], one["group"]) for one in found["instances"]
        ] == [
            ("digits", "digits-0", 0.75, "fast"),
            ("digits", "digits-1", 0.0, "fast"),
        ]
        assert found["problems"] == []

    def test_the_same_for_people(self, digits: Wishing, tmp_path: Path) -> None:
        shown = " ".join(eas("pools", "--state-dir", str(tmp_path), COLUMNS="200").stdout.split())
        assert f"group fast 7 1 ({CPU}) 0.25 1.0 GiB 512.0 MiB" in shown
        assert f"digits-0 team/digits group fast 0.75 {CPU} 512.0 MiB" in shown
        assert f"digits-1 team/digits group fast not counted {CPU} not counted" in shown

    def test_a_machine_without_anything(self, tmp_path: Path) -> None:
        done = eas("pools", "--state-dir", str(tmp_path / "none"), COLUMNS="200")
        assert done.exit_code == 0
        assert f"this machine {this_machine().cpus} (" in " ".join(done.stdout.split())
        assert "nobody has anything of it" in done.stdout
        assert not (tmp_path / "none").exists(), "looking leaves nothing"

    def test_what_cannot_be_read_is_said_beside_the_rest(self, digits: Wishing, tmp_path: Path) -> None:
        with StateDirectory.acquire(tmp_path, "bad"):
            (tmp_path / DIRECTORY / "bad.json").write_text("{")
            done = eas("pools", "--state-dir", str(tmp_path), COLUMNS="200")
            assert done.exit_code == 0
            assert "digits-0" in done.stdout
            assert "bad.json can't be read" in done.stderr
