"""Files are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eas_bench import writing


def test_what_was_there_stays_when_the_rest_can_t_be_written(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    writing.write(file, "first")
    with pytest.raises(UnicodeEncodeError):
        writing.write(file, "second \ud800")
    assert file.read_text() == "first"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link_and_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    link, file, usual = tmp_path / "link", tmp_path / "file", tmp_path / "usual"
    link.symlink_to(file)
    writing.write(link, "text")
    usual.write_text("text")
    assert link.is_symlink()
    assert file.read_text() == "text"
    assert file.stat().st_mode == usual.stat().st_mode


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writing.write(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_looking_leaves_nothing_behind_and_takes_nothing_away(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("first")
    writing.check(kept)
    writing.check(tmp_path / "new.json")
    assert kept.read_text() == "first"
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("place", ["/proc/run.json", "/nowhere/run.json", "/dev/null/run.json"])
def test_a_place_that_takes_no_file_is_told(place: str) -> None:
    """Of root's permissions /proc once let a run go on to its end, and then there was no place for it."""
    with pytest.raises(OSError, match=r".+"):
        writing.check(Path(place))


def test_what_is_no_file_is_looked_at_without_opening_it(tmp_path: Path) -> None:
    """The other end of a pipe may not be there yet."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing.check(pipe)
    writing.check(Path("/dev/stdout"))
