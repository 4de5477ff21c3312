"""Log lines and a reader that is slow, or gone: the writer of a line never waits for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from eas_engine.telemetry.lines import LineWriter


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    try:
        yield read, write
    finally:
        os.close(read)
        os.close(write)


def read_all(fd: int) -> bytes:
    os.set_blocking(fd, False)
    parts = []
    try:
        while part := os.read(fd, 1 << 20):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)


def test_lines_arrive_in_order() -> None:
    with pipe() as (read, write):
        writer = LineWriter(write)
        writer.start()
        lines = [b"line %d\n" % number for number in range(1000)]
        for line in lines:
            writer.put(line)
        assert writer.close(30)
        assert read_all(read) == b"".join(lines)


def test_a_pipe_that_nobody_reads_stops_nothing_and_bounds_memory() -> None:
    """The engine was started with ``2> >(...)`` and that program hangs."""
    with pipe() as (read, write):
        writer = LineWriter(write, capacity=200_000)
        writer.start()
        line = b"x" * 999 + b"\n"
        for _ in range(5000):
            writer.put(line)
        assert writer.waiting <= 200_000
        assert "lines lost" in repr(writer)
        assert not writer.close(0.05)
        os.set_blocking(read, True)
        text = b""
        while b"log lines are missing here" not in text:  # the reader wakes: it is told what it missed
            text += os.read(read, 1 << 20)
        kept = text.count(line)
        assert b"... %d log lines are missing here" % (5000 - kept) in text


def test_the_gap_is_told_where_it_is() -> None:
    with pipe() as (read, write):
        writer = LineWriter(write, capacity=20)  # not started yet: nothing is written
        for line in (b"first\n", b"too long for what is left\n", b"lost as well, it is\n", b"second\n"):
            writer.put(line)
        writer.start()
        assert writer.close(30)
        assert read_all(read).splitlines() == [
            b"first",
            b"... 2 log lines are missing here: they were not read fast enough",
            b"second",
        ]


def test_a_reader_that_is_gone_ends_the_thread_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = LineWriter(write)
    writer.start()
    writer.put(b"to nobody\n")
    assert writer.close(30)
    writer.put(b"after the end\n")
    assert writer.waiting == 0
    os.close(write)


def test_a_descriptor_that_somebody_made_non_blocking() -> None:
    with pipe() as (read, write):
        os.set_blocking(write, False)
        writer = LineWriter(write)
        writer.start()
        writer.put(b"y" * 300_000 + b"\n")  # more than a pipe holds
        size = 0
        while size < 300_001:
            size += len(os.read(read, 1 << 16))
        assert writer.close(30)


def test_a_full_disk_loses_lines_and_goes_on() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(full)
    writer.start()
    writer.put(b"no room\n")
    assert writer.close(30)
    os.close(full)


def test_the_gap_may_be_told_in_other_words() -> None:
    with pipe() as (read, write):
        writer = LineWriter(write, capacity=20, lost=b'{"lost": %d}\n')
        for line in (b"{}\n", b"too long for what is left\n"):
            writer.put(line)
        writer.start()
        assert writer.close(30)
        assert read_all(read).splitlines() == [b"{}", b'{"lost": 1}']
