"""Lines out of pipes: any split, any length, any amount."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.supervisor import output
from eas_engine.supervisor.output import LINES_A_TURN, MAX_LINE, LineCutter, OutputReader, Tail
from support.clock import settle


@given(st.lists(st.binary(max_size=30)), st.lists(st.integers(0, 200)))
def test_lines_are_the_same_however_the_bytes_are_split(lines: list[bytes], cuts: list[int]) -> None:
    text = b"\n".join(lines)
    cutter, got, start = LineCutter(), [], 0
    for cut in [*sorted(cuts), len(text)]:
        got += cutter.feed(text[start:cut])
        start = max(start, min(cut, len(text)))
    got += cutter.finish()
    expected = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in text.split(b"\n")]
    assert got == (expected if text.split(b"\n")[-1] else expected[:-1])


@given(st.text(alphabet="aé語🙂", min_size=1, max_size=9), st.integers(100, 70_000))
def test_a_line_without_end_comes_in_pieces_that_lose_nothing(pattern: str, step: int) -> None:
    text = pattern * (150_000 // len(pattern.encode()))
    data, cutter = text.encode(), LineCutter()
    got = [line for start in range(0, len(data), step) for line in cutter.feed(data[start : start + step])]
    got += cutter.finish()
    assert "".join(got) == text
    assert all(len(line.encode()) <= MAX_LINE for line in got)


def test_invalid_utf8_is_replaced() -> None:
    assert LineCutter().feed(b"caf\xe9\n") == ["caf�"]


def test_the_tail_keeps_the_last_hundred() -> None:
    tail = Tail()
    for number in range(250):
        tail.add(f"{number} " + "x" * 9000)
    lines = tail.lines()
    assert [int(line.split()[0]) for line in lines] == list(range(150, 250))
    assert max(map(len, lines)) == output.TAIL_WIDTH


def test_last_words_begin_with_a_dump_that_is_longer_than_they_are() -> None:
    tail = Tail()
    for line in [
        "loaded",
        "Fatal Python error: Aborted",
        *(f'  File "app.py", line {one} in f' for one in range(300)),
    ]:
        tail.add(line)
    assert tail.last_words()[0] == "Fatal Python error: Aborted"
    assert len(tail.last_words()) == len(tail.lines()) == 100
    tail = Tail()
    tail.add("Fatal Python error: Aborted")
    tail.add("and that was all")
    assert tail.last_words() == tail.lines()


class Pipe:
    def __init__(self) -> None:
        fd, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.lines: list[str] = []
        self.reader = OutputReader(fd, self.lines.append)
        self.reader.open()

    async def heard(self, line: str) -> None:
        while line not in self.lines:
            await settle(1)


async def test_lines_arrive_as_they_are_printed() -> None:
    pipe = Pipe()
    os.write(pipe.writer, b"one\ntw")
    await pipe.heard("one")
    os.write(pipe.writer, b"o\nthree")
    await pipe.heard("two")
    os.close(pipe.writer)
    await pipe.heard("three")
    assert pipe.lines == ["one", "two", "three"]
    pipe.reader.finish()


async def test_a_flood_gets_a_bounded_share_of_each_turn_and_is_complete_in_the_end() -> None:
    pipe = Pipe()
    os.write(pipe.writer, b"".join(b"%d\n" % number for number in range(2000)))
    os.write(pipe.writer, b"end\n")
    most = before = 0
    while "end" not in pipe.lines:
        await asyncio.sleep(0)
        most, before = max(most, len(pipe.lines) - before), len(pipe.lines)
    assert most <= LINES_A_TURN
    assert pipe.lines == [*map(str, range(2000)), "end"]
    os.close(pipe.writer)
    pipe.reader.finish()


async def test_a_dead_host_s_pipe_is_emptied_at_once_though_another_holds_it() -> None:
    pipe = Pipe()
    os.write(pipe.writer, b"last\nwords")
    pipe.reader.finish()
    pipe.reader.finish()
    assert pipe.lines == ["last", "words"]
    with pytest.raises(BrokenPipeError):
        os.write(pipe.writer, b"x")
    os.close(pipe.writer)
    await settle()


async def test_of_a_dead_host_s_flood_the_end_is_kept() -> None:
    pipe = Pipe()
    os.write(pipe.writer, b"".join(b"%d\n" % number for number in range(10_000)))
    pipe.reader.finish()
    assert pipe.lines[0] == "... 9000 lines of output left out ..."
    assert pipe.lines[1:] == [str(number) for number in range(9000, 10_000)]
    os.close(pipe.writer)


async def test_death_during_a_pause_loses_nothing_of_the_end() -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    pipe = Pipe()
    os.write(pipe.writer, b"".join(b"%d\n" % number for number in range(500)))
    await pipe.heard("10")
    pipe.reader.finish()
    assert pipe.lines == [str(number) for number in range(500)]
    os.close(pipe.writer)
    await asyncio.sleep(2 * output.PAUSE)  # a forgotten timer would touch the closed descriptor
    assert errors == []
