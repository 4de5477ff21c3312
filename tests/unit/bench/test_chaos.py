"""The chaos run can tell: what clients count as a fault, and what as growth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from eas_bench.chaos.clients import Crowd, Tally, read_answer
from eas_bench.chaos.trend import trend
from eas_bench.servers import Target

GOOD = "HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: {size}\r\n\r\n{body}"


def crowd_against(reply: Callable[[str, str], str | None], requests: int = 3) -> Tally:
    """What one client says of a server that answers like this (None: it hangs up)."""

    async def meet() -> Tally:
        served = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal served
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
                    body = (await reader.readexactly(int(fields["Content-Length"]))).decode("latin-1")
                    answer = reply(fields["X-Request-Id"], body)
                    served += 1
                    if served >= requests:
                        crowd.stop()
                    if answer is None:
                        return
                    writer.write(answer.encode("latin-1"))
            except asyncio.IncompleteReadError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        crowd = Crowd(Target(port, "/", ()), clients=1, poison=0.0)
        async with server:
            await crowd.run()
        return crowd.tally

    return asyncio.run(meet())


def good(request_id: str, body: str) -> str:
    return GOOD.format(id=request_id, size=len(body), body=body)


def test_the_right_answers_are_no_fault() -> None:
    tally = crowd_against(good)
    assert tally.faults == []
    assert tally.answers["200"] == 3


def test_a_documented_error_of_the_engine_is_no_fault() -> None:
    tally = crowd_against(
        lambda request_id, _: (
            f"HTTP/1.1 500 Oops\r\nX-EAS-Error: instance_killed\r\nX-Request-Id: {request_id}\r\n"
            "Content-Length: 2\r\n\r\nno"
        )
    )
    assert tally.faults == []
    assert tally.answers == {"500 instance_killed": 3}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda i, body: good(i, body[:-1] + chr(ord(body[-1]) ^ 1)), "wrong body"),
        (lambda i, body: good(i, body + "more"), "wrong body"),
        (lambda i, body: good(i + "x", body), "got the answer to"),
        (lambda i, body: good(i, body) + good(i, body), "got the answer to"),
        (lambda i, body: good(i, body).replace("200", "500"), "isn't one of the engine's answers"),
        (lambda i, body: good(i, body).replace("200", "404"), "isn't one of the engine's answers"),
        (lambda _i, _body: None, "instead of an answer"),
        (lambda _i, _body: "nonsense\r\n\r\n", "instead of an answer"),
    ],
    ids=["changed", "longer", "of another", "twice", "no code", "404", "hung up", "no HTTP"],
)
def test_what_must_never_happen_is_seen(reply: Callable[[str, str], str | None], words: str) -> None:
    tally = crowd_against(reply)
    assert tally.faulty >= 1
    assert words in tally.faults[0]


def test_an_answer_with_its_fields() -> None:
    async def read() -> object:
        reader = asyncio.StreamReader()
        reader.feed_data(
            b"HTTP/1.1 408 Late\r\nConnection: close\r\nX-EAS-Error: x\r\nContent-Length: 1\r\n\r\nb"
        )
        return await read_answer(reader)

    answer = asyncio.run(read())
    assert str(answer) == "Answer(status=408, code='x', request_id='', closes=True, body=b'b')"


def test_growth_is_told_from_noise_and_from_the_beginning() -> None:
    times = [float(n) for n in range(30)]
    begins = [100.0 * min(n, 5) for n in range(30)]
    assert trend(times, begins).growth == 0
    noisy = [500.0 + (n % 3) for n in range(30)]
    assert abs(trend(times, noisy).growth) <= 1
    leaks = [500.0 + 2 * n for n in range(30)]
    assert trend(times, leaks).growth == pytest.approx(20)
    assert trend(times, leaks).per_hour == pytest.approx(2 * 3600)
    with pytest.raises(ValueError, match="too few"):
        trend(times[:5], leaks[:5])
