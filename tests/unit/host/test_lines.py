"""Lines of several threads. What keeps them whole doesn't depend on the interpreter, only its use does."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from eas_host import lines
from eas_host.lines import WholeLines


class Screen:
    """A stream, and what has reached the other end of it."""

    def __init__(self) -> None:
        self._raw = io.BytesIO()
        under = io.TextIOWrapper(io.BufferedWriter(self._raw), encoding="utf-8", errors="backslashreplace")
        self.stream = WholeLines(under)

    @property
    def seen(self) -> str:
        return self._raw.getvalue().decode()

    def elsewhere(self, *pieces: str, flush: bool = False) -> None:
        """Another thread writes."""

        def write() -> None:
            for piece in pieces:
                self.stream.write(piece)
            if flush:
                self.stream.flush()

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()


def test_a_line_is_written_when_it_is_whole() -> None:
    screen = Screen()
    assert screen.stream.write("mine ") == 5
    screen.elsewhere("theirs", "\n")
    assert screen.seen == "theirs\n"
    screen.stream.write("too\nand the ")
    assert screen.seen == "theirs\nmine too\n"
    screen.elsewhere("theirs\n", flush=True)
    screen.stream.write("next\n")
    assert screen.seen == "theirs\nmine too\ntheirs\nand the next\n"


def test_a_flush_writes_what_its_thread_has_begun() -> None:
    screen = Screen()
    print("90 %", end="\r", file=screen.stream, flush=True)
    assert screen.seen == "90 %\r"
    screen.stream.flush()
    assert screen.seen == "90 %\r"


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    screen = Screen()
    for _ in range(100):
        screen.stream.write("x" * 1000)
    screen.stream.flush()
    assert screen.seen == "x" * 100_000
    assert not screen.stream._begun


def test_it_writes_as_the_stream_that_it_replaces() -> None:
    screen = Screen()
    print("\udcff\u4e2d", file=screen.stream)
    assert screen.seen == "\\udcff\u4e2d\n"
    assert screen.stream.mode == "w"
    with pytest.raises(TypeError):
        screen.stream.write(b"bytes")  # type: ignore[arg-type]


def test_only_where_there_is_no_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = sys.stdout, sys.stderr
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    lines.keep_whole()
    assert (sys.stdout, sys.stderr) == (out, err)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    lines.keep_whole()
    assert isinstance(sys.stdout, WholeLines)
    assert isinstance(sys.stderr, WholeLines)
    assert sys.__stdout__ is sys.stdout
