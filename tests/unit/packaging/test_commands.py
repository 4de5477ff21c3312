"""The scripts behind `make`, on machines that lack something."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.repository import ROOT


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / script), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory of commands that stands for a machine; what it lacks, the machine lacks."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def python(tools: Path, name: str, *, old: bool = False, bare: bool = False) -> None:
    """An interpreter that is too old, or that can't make environments."""
    executable(
        tools / name,
        f"""case "$2" in
            *version_info\\ \\<*) exit {int(old)} ;;
            *ensurepip*) exit {int(bare)} ;;
            *) echo python3.11-venv ;;
        esac""",
    )


def somebody(tools: Path) -> None:
    executable(tools / "id", "echo 1000")


def test_the_machines_own_python_comes_first(tools: Path) -> None:
    python(tools, "python3")
    python(tools, "python3.13")

    assert run("find-python", PATH=str(tools)).stdout.split() == ["python3"]


def test_one_that_is_too_old_is_passed_over(tools: Path) -> None:
    python(tools, "python3", old=True)
    python(tools, "python3.12")

    assert run("find-python", PATH=str(tools)).stdout.split() == ["python3.12"]


def test_without_any_it_says_what_to_install(tools: Path) -> None:
    python(tools, "python3", old=True)
    found = run("find-python", PATH=str(tools))

    assert found.returncode == 1
    assert "needs Python 3.11 or later" in found.stderr
    assert "apt-get install python3 python3-venv" in found.stderr


def test_without_venv_a_user_is_told_the_package(tools: Path) -> None:
    python(tools, "python3", bare=True)
    somebody(tools)
    found = run("find-python", PATH=str(tools))

    assert found.returncode == 1
    assert "apt-get install python3.11-venv" in found.stderr


def test_without_venv_root_gets_the_package(tools: Path) -> None:
    python(tools, "python3", bare=True)
    executable(tools / "id", "echo 0")
    executable(tools / "apt-get", f'echo "$*" >> {tools}/asked')
    run("find-python", PATH=str(tools))

    assert "install -qq --yes python3.11-venv" in (tools / "asked").read_text()


def test_missing_packages_are_named_and_do_not_fail(tools: Path) -> None:
    somebody(tools)
    said = run("debian-packages", "sh=dash", "no-such-tool=some-package", PATH=f"{tools}:/usr/bin:/bin")

    assert said.returncode == 0
    assert "not installed: some-package" in said.stderr
    assert "dash" not in said.stderr


def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci/run"
    lines = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]

    assert os.access(script, os.X_OK)
    assert lines == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]


def test_every_target_is_in_the_list() -> None:
    if shutil.which("make") is None:
        pytest.skip("make isn't installed")
    said = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    named = {line.split()[1] for line in said.splitlines()}
    assert named >= {"serve", "test", "format", "lint", "types", "imports", "unit", "model", "system", "lock"}
