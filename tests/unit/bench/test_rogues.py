"""Clients that behave badly: each deed sees what a server must never do to it (a good one: tests/system)."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter

import pytest

from eas_bench.chaos import bad_input
from eas_bench.chaos.clients import Tally
from eas_bench.chaos.rogues import DEEDS, Rogues
from eas_bench.servers import Target

ID = "r1-1"
TARGET = Target(1, "/api/predict/chaos", ("Authorization: secret",))


def an_answer(
    status: int = 200, *, code: str = "", request_id: str = ID, body: bytes = b"", closes: bool = True
) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"X-Request-Id: {request_id}", f"Content-Length: {len(body)}"]
    lines += [f"X-EAS-Error: {code}"] if code else []
    lines += ["Connection: close"] if closes else []
    return "\r\n".join([*lines, "", ""]).encode() + body


REFUSED = an_answer(400, code="bad_request")


def done_to(deed: str, reply: bytes, seed: int = 1) -> Rogues:
    """What a rogue says who does this to a server that answers so, whatever it gets, and then ends."""

    async def meet() -> Rogues:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read(1)
                writer.write(reply)
                await writer.drain()
                writer.write_eof()
                while await reader.read(1 << 16):
                    pass
            except OSError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        rogues = Rogues(Target(port, TARGET.path, TARGET.headers), clients=1)
        async with server:
            await rogues._do(deed, ID, random.Random(seed))
        return rogues

    return asyncio.run(meet())


@pytest.mark.parametrize(
    ("deed", "reply", "words"),
    [
        ("bad_input", an_answer(200), "was answered 200"),
        ("bad_input", an_answer(500, code="internal"), "was answered 500 internal"),
        ("bad_input", an_answer(400), "was answered 400 "),
        ("bad_input", b"", "IncompleteReadError"),
        ("longer_than_it_said", an_answer(200, body=b"x"), "200 with the wrong body"),
        ("shorter_than_it_said", an_answer(200), "half a request was answered"),
        ("cut_chunks", an_answer(200, body=b"half"), "half a request was answered"),
        ("cut_chunks", an_answer(500, code="internal"), "half a request was answered"),
        ("left_in_the_answer", an_answer(body=b"x" * 400_005), "the beginning of an answer is wrong"),
        ("left_in_the_answer", an_answer(request_id="c0-1"), "of an answer is wrong|IncompleteReadError"),
        ("left_in_the_answer", b"", "IncompleteReadError"),
        ("slow_head", b"", "IncompleteReadError"),
        ("slow_head", an_answer(request_id="c0-7"), "got the answer to c0-7"),
        ("slow_body", an_answer(404, code="not_found"), "404 not_found, which isn't one of"),
        ("slow_reader", an_answer(body=b"x" * 100_000), "200 with the wrong body"),
        ("slow_reader", an_answer(body=b"x" * 100_000)[:-1], "IncompleteReadError"),
    ],
)
def test_what_must_never_be_done_to_a_rogue_is_seen(deed: str, reply: bytes, words: str) -> None:
    rogues = done_to(deed, reply)
    assert rogues.tally.faulty == 1
    assert re.search(words, rogues.tally.faults[0]), rogues.tally.faults


@pytest.mark.parametrize("deed", DEEDS)
def test_each_deed_is_counted(deed: str) -> None:
    assert done_to(deed, REFUSED).done == Counter({deed.replace("_", " "): 1})


@pytest.mark.parametrize("deed", ["left_in_the_head", "left_in_the_body", "left_before_the_answer"])
@pytest.mark.parametrize("reply", [b"", REFUSED, an_answer(), b"nonsense"])
def test_who_leaves_early_asks_for_nothing(deed: str, reply: bytes) -> None:
    assert done_to(deed, reply).tally == Tally()


@pytest.mark.parametrize("deed", ["shorter_than_it_said", "cut_chunks"])
@pytest.mark.parametrize("reply", [b"", REFUSED, an_answer(408, code="deadline_exceeded")])
def test_half_a_request_may_be_refused_or_ignored(deed: str, reply: bytes) -> None:
    assert done_to(deed, reply).tally.faults == []


def seed_of(name: str) -> int:
    """With which a rogue's bad input is of this kind."""
    for seed in range(1000):
        rogues = done_to("bad_input", REFUSED, seed)
        if any(told.startswith(name) for told in rogues.refusals):
            return seed
    raise AssertionError(name)


def test_a_refusal_that_leaves_the_door_open_is_seen() -> None:
    """Behind a malformed head nobody knows where the next request begins."""
    seed = seed_of("a malformed head")
    assert done_to("bad_input", REFUSED, seed).tally.faults == []
    kept = done_to("bad_input", an_answer(400, code="bad_request", closes=False), seed)
    assert "the connection went on" in kept.tally.faults[0]
    smuggled = done_to("bad_input", REFUSED + an_answer(200, request_id=f"{ID}-smuggled"), seed)
    assert "the connection went on" in smuggled.tally.faults[0]


def test_behind_a_wrong_token_the_right_one_must_be_served() -> None:
    seed = seed_of("a wrong token")
    refusal = an_answer(401, code="unauthorized", closes=False)
    assert "IncompleteReadError" in done_to("bad_input", refusal, seed).tally.faults[0]
    wrong = done_to("bad_input", refusal + an_answer(body=b"of another"), seed)
    assert "200 with the wrong body" in wrong.tally.faults[0]


# -- bad input


def test_there_is_bad_input_of_each_kind_and_none_of_it_has_the_id_of_the_rogue_alone() -> None:
    chance = random.Random(1)
    found = [bad_input.one(TARGET, ID, chance) for _ in range(400)]
    assert len({bad.name for bad in found}) == 7
    for bad in found:
        assert b"X-Request-Id: r1-1\r\n" not in bad.data
        if bad.name == "a wrong token":
            assert b"secret" not in bad.data
        if "over the limit, in chunks" in bad.name:
            assert len(bad.data) > bad_input.TOO_LARGE


def test_a_head_is_one() -> None:
    told = bad_input.head(TARGET, "A: b")
    assert told == (
        b"POST /api/predict/chaos HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: secret\r\nA: b\r\n\r\n"
    )
