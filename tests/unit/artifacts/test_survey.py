"""Looking through a tree that somebody works in."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.artifacts.workspace.survey import survey


def test_what_goes_away_meanwhile_is_not_there(tmp_path: Path) -> None:
    """An editor's files and temporary ones do so all the time."""
    for name in ("a", "b", "z"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "below").mkdir()
    found = survey(tmp_path)
    assert next(found).path == "a"
    (tmp_path / "b").unlink()
    (tmp_path / "link").unlink()
    assert next(found).path == "below"
    (tmp_path / "below").rmdir()
    assert [item.path for item in found] == ["z"]


def test_a_tree_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(survey(tmp_path / "none"))
