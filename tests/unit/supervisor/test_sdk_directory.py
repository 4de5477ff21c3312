"""The directory that a processor's interpreter sees."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eas_engine.supervisor.launch import environment
from eas_engine.supervisor.sdk import (
    PACKAGES,
    _rename_unless_taken,
    held_sdk_directory,
    sdk_directory,
)


def test_holds_the_three_packages_and_nothing_else(tmp_path: Path) -> None:
    made = sdk_directory(tmp_path)
    assert made.parent == tmp_path.resolve()
    assert made.is_absolute()
    assert sorted(entry.name for entry in made.iterdir()) == sorted(PACKAGES)
    assert all((made / name / "__init__.py").is_file() for name in PACKAGES)
    assert [entry.name for entry in tmp_path.iterdir()] == [made.name]


def test_an_isolated_interpreter_imports_from_it(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, '.'); import eas_host; print(eas_host.__file__)"
    made = sdk_directory(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=made, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(made)


def test_is_made_once_and_repaired_when_it_is_not_as_it_should_be(tmp_path: Path) -> None:
    made = sdk_directory(tmp_path)
    before = made.stat().st_ino
    assert sdk_directory(tmp_path) == made
    assert made.stat().st_ino == before
    (made / "allspark").unlink()
    (made / "numpy.py").write_text("raise SystemExit")
    assert sdk_directory(tmp_path) == made
    assert sorted(entry.name for entry in made.iterdir()) == sorted(PACKAGES)
    assert [entry.name for entry in tmp_path.iterdir()] == [made.name]


def test_several_engines_may_make_it_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = set(threads.map(lambda _: sdk_directory(tmp_path / "state"), range(64)))
    assert len(made) == 1
    assert [entry.name for entry in (tmp_path / "state").iterdir()] == [made.pop().name]


def test_whoever_comes_second_takes_what_the_first_has_made(tmp_path: Path) -> None:
    first, second = sdk_directory(tmp_path), tmp_path / "second"
    second.mkdir()
    _rename_unless_taken(second, first)
    assert second.is_dir()
    with pytest.raises(OSError, match="No such file"):
        _rename_unless_taken(tmp_path / "absent", tmp_path / "target")


def test_processors_get_neither_credentials_nor_the_engine_s_settings() -> None:
    base = {"PATH": "/bin", "OSS_ACCESS_KEY_SECRET": "s", "EAS_PORT": "1", "PYTHONSAFEPATH": "1", "LANG": "C"}
    assert environment(base, {"LANG": "de", "EAS_OWN": "x"}) == {"PATH": "/bin", "LANG": "de", "EAS_OWN": "x"}


def test_directories_that_no_engine_holds_are_tidied_away(tmp_path: Path) -> None:
    stale, taken = tmp_path / "sdk-0123456789ab", tmp_path / "sdk-ba9876543210"
    for each in (stale, taken):
        each.mkdir()
        (each / "allspark").symlink_to("/nowhere")
    (tmp_path / "service").mkdir()
    holder = os.open(taken, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    try:
        with held_sdk_directory(tmp_path) as made:
            assert sorted(tmp_path.iterdir()) == sorted([made, taken, tmp_path / "service"])
            with held_sdk_directory(tmp_path) as again:  # two engines of one installation
                assert again == made
    finally:
        os.close(holder)
    with held_sdk_directory(tmp_path) as made:
        assert sorted(tmp_path.iterdir()) == sorted([made, tmp_path / "service"])
