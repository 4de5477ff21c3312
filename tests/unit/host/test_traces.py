"""The log has every exception that a request causes, and not every one's whole trace."""

from __future__ import annotations

import threading

import pytest

from eas_host.adapters import Raised
from eas_host.traces import WHOLE, WINDOW, Traces


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def raised(message: str, kind: type[Exception] = ValueError) -> Exception:
    with pytest.raises(kind) as told:
        raise kind(message)
    return told.value


def written(traces: Traces, count: int, *, message: str = "no") -> list[str]:
    return [traces.text(raised(f"{message} {number}"), f"id-{number}") for number in range(count)]


def test_a_flood_of_bad_requests_is_a_line_each_after_the_first_few() -> None:
    """700 of them were 660 kB."""
    told = written(Traces(Clock()), 700, message="column 3 is empty")
    assert all(text.startswith(f"request id-{number} raised") for number, text in enumerate(told))
    assert all("Traceback" in text and text.endswith("\n") for text in told[:WHOLE])
    assert told[WHOLE] == (
        f"request id-{WHOLE} raised ValueError: column 3 is empty {WHOLE} "
        f"(its trace is above; {WHOLE + 1} times in this minute)\n"
    )
    assert sum(map(len, told)) < 90_000


def test_after_a_while_the_trace_is_written_again() -> None:
    clock = Clock()
    traces = Traces(clock)
    written(traces, WHOLE)
    clock.now += WINDOW - 0.1
    assert "Traceback" not in written(traces, 1)[0]
    clock.now += 0.1
    assert "Traceback" in written(traces, 1)[0]


def test_another_place_or_another_kind_has_a_trace_of_its_own() -> None:
    traces = Traces(Clock())
    written(traces, WHOLE + 1)
    assert "Traceback" in traces.text(raised("no", KeyError), "x")
    with pytest.raises(ValueError, match="invalid literal") as told:
        int("x")
    assert "Traceback" in traces.text(told.value, "x")


def test_of_other_languages_too() -> None:
    traces = Traces(Clock())
    told = [
        traces.text(Raised(f"e {number}", f"java.lang.E: e {number}\n\tat A.b(A.java:3)\n"), "x")
        for number in range(WHOLE + 1)
    ]
    assert told[0] == "request x raised\njava.lang.E: e 0\n\tat A.b(A.java:3)\n"
    assert told[-1] == f"request x raised e {WHOLE} (its trace is above; {WHOLE + 1} times in this minute)\n"


class Hostile(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [Hostile(), ValueError("a\nb" * 10_000), ValueError()])
def test_a_line_is_short_and_one_line_whatever_the_message_is(error: Exception) -> None:
    traces = Traces(Clock())
    told = [traces.text(error, "x") for _ in range(WHOLE + 1)][-1]
    assert (told.count("\n"), len(told) < 400) == (1, True)


def test_what_is_remembered_is_bounded_and_counted_by_all_threads() -> None:
    traces = Traces(Clock())
    for number in range(2000):
        traces.text(Raised("e", f"e\n\tat line {number}\n"), "x")
    assert len(traces._seen) <= 256
    threads = [threading.Thread(target=written, args=(traces, 50)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "; 201 times" in written(traces, 1)[0]
