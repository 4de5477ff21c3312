"""``eas-engine cache``: what is shown, and what goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eas_engine.artifacts.cache.cache import Cache, Record
from eas_engine.cli.app import app


def filled(root: Path) -> Cache:
    """Two files; the old one was used a long time ago."""
    cache = Cache.open(root / "cache")
    for name, size in (("old", 3000), ("new", 2000)):
        key = cache.key(name)
        path = cache.scratch(key, "part")
        path.write_bytes(bytes(size))
        cache.adopt(key, name * 5, path, "file")
        cache.remember(key, Record(f"https://h/{name}", name * 5, name))
    os.utime(root / "cache" / "objects" / ("old" * 5) / "used", (1, 1))
    (root / "cache" / "scratch" / f"{cache.key('x')}.part").write_bytes(b"123")
    return cache


def run(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["cache", *arguments, "--state-dir", str(root)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_ls(tmp_path: Path) -> None:
    assert "nothing" in run(tmp_path, "ls")
    filled(tmp_path)
    lines = run(tmp_path, "ls", "--cache-size", "1M").splitlines()
    assert lines[1].startswith("https://h/new")
    assert lines[2].startswith("https://h/old")
    assert "4.9 KiB of at most 1.0 MiB" in lines[3]
    assert "3 B of unfinished downloads" in lines[4]
    found = json.loads(run(tmp_path, "ls", "--json"))
    assert [(one["size"], one["in_use"]) for one in found["entries"]] == [(2000, False), (3000, False)]


def test_prune_down_to_the_size(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    assert "nothing was deleted" in run(tmp_path, "prune")
    said = run(tmp_path, "prune", "--cache-size", "2000")
    assert "https://h/old" in said
    assert "2.9 KiB freed" in said
    assert "0 B freed" in run(tmp_path, "prune", "--cache-size", "2000")
    assert [one.addresses for one in cache.entries()] == [("https://h/new",)]
    assert cache.record(cache.key("old")) is None


def test_prune_by_age_and_everything(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    assert json.loads(run(tmp_path, "prune", "--older-than", "7d", "--json"))["freed_bytes"] == 3000
    use = cache.use("new" * 5, lambda _: None)
    assert use is not None
    assert json.loads(run(tmp_path, "prune", "--all", "--json")) == {
        "freed_bytes": 3,
        "deleted": [],
        "in_use": 1,
    }
    use.release()
    assert json.loads(run(tmp_path, "prune", "--all", "--json"))["freed_bytes"] == 2000
    assert list(cache.leftovers()) == []


@pytest.mark.parametrize("arguments", [["prune", "--older-than", "x"], ["ls", "--cache-size", "x"]])
def test_nonsense_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["cache", *arguments, "--state-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
