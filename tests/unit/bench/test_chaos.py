"""The chaos run can tell: what clients count as a fault, and what as growth."""

from __future__ import annotations

import asyncio
import io
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from eas_bench.chaos.clients import Crowd, Tally, read_answer
from eas_bench.chaos.rogues import DEEDS
from eas_bench.chaos.run import Outcome, Plan, _judge, metric
from eas_bench.cli.chaos import default_instances, show, status_of
from eas_bench.servers import Target
from eas_bench.trend import Sample, trend

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


def test_a_slope_is_only_told_of_what_was_watched_for_long() -> None:
    leaks = trend([60.0 * n for n in range(30)], [float(n) for n in range(30)])
    assert leaks.told(1, 1800) == "14.5 -> 24.5 (+60.0/h)"
    assert leaks.told(1, 90) == "14.5 -> 24.5"


# -- the verdict on a run

ALL = Counter({deed.replace("_", " "): 1 for deed in DEEDS})


def judged(answers: dict[str, int], *, memory: int = 0, **plan: Any) -> list[str]:
    """The faults of a run of a minute in which the engine grew by so much."""
    outcome = Outcome(Plan(seconds=60, **plan), Counter(answers), kills=60, misdeeds=ALL)
    _judge(outcome, [Sample(n, 50_000_000 + memory * (n > 40), 50) for n in range(60)])
    return outcome.faults


def test_what_an_engine_in_torment_may_do_is_no_fault() -> None:
    assert judged({"200": 1000, "500 instance_killed": 60}) == []
    assert judged({"200": 1000}, retry=True) == []
    assert judged({"200": 1000, "poison: 500 poison_request": 5}, retry=True, poison=0.1) == []
    assert judged({"200": 1000}, every=0, rogues=4) == []


@pytest.mark.parametrize(
    ("answers", "plan", "words"),
    [
        ({"500 instance_killed": 1}, {}, "nothing was answered with 200"),
        ({"200": 9, "500 instance_killed": 1}, {"retry": True}, "innocents got .* although they are tried"),
        ({"200": 9, "408 deadline_exceeded": 1}, {"every": 0, "rogues": 4}, "although no instance died"),
        ({"200": 9}, {"retry": True, "poison": 0.1}, "nobody got the 500 that poison deserves"),
    ],
)
def test_what_it_must_not_do_is_one(answers: dict[str, int], plan: dict[str, Any], words: str) -> None:
    (fault,) = judged(answers, **plan)
    assert re.search(words, fault)


def test_nor_may_it_grow() -> None:
    assert judged({"200": 9}, memory=9_000_000) == ["memory grew by 9.0 MB"]


def test_a_deed_that_was_never_done_proves_nothing() -> None:
    outcome = Outcome(Plan(seconds=60, every=0, rogues=1), Counter({"200": 1}), misdeeds=ALL.copy())
    del outcome.misdeeds["cut chunks"]
    _judge(outcome, [])
    assert outcome.faults == []
    assert outcome.unshown == ["never done: cut chunks: a longer run would"]


def test_too_few_kills_or_none_that_met_a_request_show_nothing_and_are_no_fault() -> None:
    """Two cores ended with "fault: this shows nothing", which looks like a bug of the engine's."""
    for kills, answers, words in (
        (60, {"200": 9, "500 instance_killed": 1}, "only 60 kills: "),
        (600, {"200": 9}, "no request was inside when its instance died"),
    ):
        outcome = Outcome(Plan(seconds=60, every=0.1), Counter(answers), kills=kills)
        _judge(outcome, [])
        assert outcome.faults == []
        (told,) = outcome.unshown
        assert told.startswith(words)
        outcome.stopped, outcome.unshown = True, []
        _judge(outcome, [])
        assert outcome.unshown == [], "who was ended early need not have done much"


@pytest.mark.parametrize(
    ("faults", "unshown", "status", "words"),
    [
        ([], [], 0, "nothing happened that must not"),
        ([], ["only 3 kills"], 3, "not shown: only 3 kills"),
        (["memory grew"], ["only 3 kills"], 1, "fault: memory grew"),
    ],
)
def test_what_is_not_shown_has_a_status_of_its_own(
    faults: list[str], unshown: list[str], status: int, words: str
) -> None:
    outcome = Outcome(Plan(seconds=60), faults=faults, unshown=unshown, seconds=60.0)
    file = io.StringIO()
    console = Console(file=file, width=200)
    show(outcome, console)
    said = file.getvalue()
    assert words in said
    assert ("nothing happened" in said) == (status == 0)
    assert status_of([Outcome(Plan(seconds=60)), outcome]) == status
    assert outcome.document()["not_shown"] == unshown


def test_instances_go_by_the_cpus() -> None:
    assert [default_instances(cpus) for cpus in (1, 2, 8, 64)] == [8, 16, 64, 64]


def test_a_plan_in_words() -> None:
    assert Plan(seconds=1, retry=True, rogues=3).name == (
        "a kill every 1 s, 3 clients that behave badly, with retry_on_crash"
    )
    assert Plan(seconds=1, every=0, rogues=3).name == "3 clients that behave badly"
    assert Plan(seconds=1, poison=0.1).name == "poison among innocents, without retry_on_crash"


def test_a_metric_is_the_sum_of_its_samples() -> None:
    told = '# HELP a_b x\na_b{c="1"} 2\na_b{c="2"} 3.5\na_b_limit 9\nd 4\n'
    assert [metric(told, name) for name in ("a_b", "d", "e")] == [5.5, 4, 0]
