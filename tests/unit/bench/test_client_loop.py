"""The loop of a generator process, in virtual time: who is sent when, and what every answer counts for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench import latency, record
from eas_bench.client.book import Page
from eas_bench.client.loop import Closed, Ending, Open, Settings
from eas_bench.client.wire import BUFFER
from eas_bench.schedule import SECOND, send_times
from support.virtual_wire import END, MS, OK, Coming, Server, VirtualWire

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
CLOSES = b"HTTP/1.1 450 Queue Full\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
RESET = ConnectionResetError(104, "reset")


class Outcome:
    """What a loop has delivered."""

    def __init__(self, pages: list[Page], wire: VirtualWire, ending: Ending) -> None:
        self.pages, self.wire, self.ending = pages, wire, ending
        self.whole = Page(0)
        for page in pages:
            self.whole.add(page)
        self.tally = self.whole.tally

    @property
    def ends(self) -> int:
        return sum(self.tally.statuses.values()) + sum(self.tally.failures.values())


def closed(
    server: Server, *, connections: int = 1, seconds: float = 2, wire: VirtualWire | None = None, **rest: Any
) -> Outcome:
    settings = _settings(connections, seconds, rest)
    wire = wire or VirtualWire(server, now=-round(rest.get("warm_up", 0) * SECOND))
    pages: list[Page] = []
    loop = Closed(wire, rest.get("requests", [REQUEST]), settings, pages.append)
    loop.run()
    return Outcome(pages, wire, loop.ending)


def opened(
    server: Server,
    moments: list[int],
    *,
    connections: int = 100,
    seconds: float = 2,
    wire: VirtualWire | None = None,
    **rest: Any,
) -> Outcome:
    settings = _settings(connections, seconds, rest)
    wire = wire or VirtualWire(server, now=-round(rest.get("warm_up", 0) * SECOND))
    pages: list[Page] = []
    chunks: Iterator[list[int]] = iter([moments])
    loop = Open(wire, rest.get("requests", [REQUEST]), settings, pages.append, chunks)
    loop.run()
    return Outcome(pages, wire, loop.ending)


def _settings(connections: int, seconds: float, rest: dict[str, Any]) -> Settings:
    return Settings(
        connections=connections,
        duration=round(seconds * SECOND),
        timeout=round(rest.get("timeout", 1) * SECOND),
        bodiless=rest.get("bodiless", False),
        renewed=rest.get("renewed"),
        checking=rest.get("checking"),
        bodies=rest.get("bodies", ()),
    )


def after(delay: int, *what: bytes | OSError) -> Server:
    """Every request has these, one a millisecond, from ``delay`` ns on."""
    return lambda at, _request, _number: [
        Coming(at + delay + place * MS, each) for place, each in enumerate(what)
    ]


def once(server: Server, other: Server, when: Callable[[int], bool]) -> Server:
    """``other`` for requests at moments for which ``when`` holds."""
    return lambda at, request, number: (other if when(at) else server)(at, request, number)


def counted(nanoseconds: list[int]) -> np.ndarray:
    counts = latency.no_counts()
    latency.count((np.array(nanoseconds, np.int64) + 500) // 1000, counts)
    return counts


# --- latency --------------------------------------------------------------------------------------------


@given(
    gaps=st.lists(st.integers(0, 30 * MS), min_size=1, max_size=60),
    services=st.lists(st.integers(1000, 60 * MS), min_size=60, max_size=60),
    connections=st.integers(1, 8),
)
def test_open_loop_latency_is_what_the_servers_own_schedule_implies(
    gaps: list[int], services: list[int], connections: int
) -> None:
    """One server that takes requests in their order: everybody can compute when each is done."""
    moments = np.cumsum(gaps).tolist()
    free, work = 0, iter(services)
    expected, done = [], 0
    for moment, service in zip(moments, services, strict=False):
        done = max(done, moment) + service
        expected.append(done - moment)

    def one_at_a_time(at: int, _request: bytes, _number: int) -> list[Coming]:
        nonlocal free
        free = max(free, at) + next(work)
        return [Coming(free, OK)]

    outcome = opened(one_at_a_time, moments, connections=connections, timeout=60)
    assert outcome.whole.answers["200"].tolist() == counted(expected).tolist()
    assert outcome.tally.sent == outcome.ends == len(moments)
    assert not outcome.whole.late[1:].any()  # time stands still while we send


@given(
    services=st.lists(st.integers(1 * MS, 300 * MS), min_size=1, max_size=30),
    connections=st.integers(1, 5),
)
def test_closed_loop_latency_is_the_servers_time_and_every_answer_counts(
    services: list[int], connections: int
) -> None:
    work, taken = itertools.cycle(services), []

    def each_for_itself(at: int, _request: bytes, _number: int) -> list[Coming]:
        taken.append(next(work))
        return [Coming(at + taken[-1], OK)]

    outcome = closed(each_for_itself, connections=connections)
    assert outcome.whole.answers["200"].tolist() == counted(taken).tolist()
    assert outcome.tally.sent == outcome.ends == len(taken) == len(outcome.wire.requests)
    assert outcome.wire.opened == connections


def test_a_stall_is_charged_to_all_who_would_have_come_and_closed_loop_hides_it() -> None:
    """The server answers in 1 ms, but for one second of ten it answers nothing."""

    def stalls(at: int, _request: bytes, _number: int) -> list[Coming]:
        return [Coming(max(at + MS, 6 * SECOND) if 5 * SECOND <= at < 6 * SECOND else at + MS, OK)]

    moments = [at * MS for at in range(10_000)]
    right = opened(stalls, moments, connections=2000, seconds=10, timeout=5).whole.percentiles
    wrong = closed(stalls, connections=1, seconds=10, timeout=5).whole.percentiles
    assert right is not None
    assert wrong is not None
    assert right.p50 == wrong.p50 == pytest.approx(1000, rel=0.01)
    assert right.p99 == pytest.approx(900_000, rel=0.02)  # a tenth of the time, evenly: its 90th percentile
    assert wrong.p99 == pytest.approx(1000, rel=0.01)  # one request of nine thousand
    assert wrong.max == pytest.approx(1_000_000, rel=0.02)


def test_when_no_connection_is_free_the_request_waits_and_its_waiting_counts() -> None:
    outcome = opened(after(100 * MS, OK), [0, 1 * MS, 2 * MS], connections=1)
    assert outcome.whole.answers["200"].tolist() == counted([100 * MS, 199 * MS, 298 * MS]).tolist()
    assert outcome.wire.opened == 1


def test_the_connection_used_last_is_used_first() -> None:
    outcome = opened(after(MS, OK), [0, 0, 0, 10 * MS, 20 * MS])
    assert outcome.wire.opened == 3
    assert outcome.tally.statuses == {"200": 5}


def test_an_answer_after_the_end_counts_and_nothing_is_asked_after_the_end() -> None:
    late = opened(after(500 * MS, OK), [1900 * MS, 1999 * MS])
    assert late.tally.statuses == {"200": 2}
    assert [page.number for page in late.pages] == [0, 1, 2]
    assert max(at for at, _ in closed(after(10 * MS, OK)).wire.requests) <= 2 * SECOND


# --- the warm-up ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [1 * MS, 700 * MS, 1500 * MS])
def test_requests_of_the_warm_up_count_for_nothing_however_late_they_end(slow: int) -> None:
    server = once(after(MS, OK), after(slow, CLOSES), lambda at: at < 0)
    moments = list(range(-SECOND, 2 * SECOND, 10 * MS))
    outcome = opened(server, moments, warm_up=1, timeout=3)
    assert outcome.tally.statuses == {"200": 200}
    assert outcome.tally.sent == 200
    outcome = closed(server, connections=3, warm_up=1, timeout=3)
    assert set(outcome.tally.statuses) == {"200"}
    assert outcome.tally.sent == outcome.ends


def test_requests_of_the_warm_up_that_waited_for_a_connection_count_for_nothing() -> None:
    server = once(after(MS, OK), after(300 * MS, OK), lambda at: at < 0)
    outcome = opened(server, [-100 * MS, -90 * MS, -80 * MS, 250 * MS], connections=1, warm_up=1, timeout=3)
    assert outcome.whole.answers["200"].tolist() == counted([MS]).tolist()


def test_failures_of_the_warm_up_count_for_nothing() -> None:
    server = once(after(MS, OK), after(500 * MS, RESET), lambda at: at < 0)
    outcome = opened(server, [-100 * MS, 100 * MS], warm_up=1)
    assert (outcome.tally.statuses, outcome.tally.failures) == ({"200": 1}, {})


# --- pages ----------------------------------------------------------------------------------------------


def test_a_page_is_a_second_and_counts_what_ended_in_it() -> None:
    moments = [at * SECOND + 900 * MS for at in range(3)]
    outcome = opened(after(200 * MS, OK), moments, seconds=3)
    assert [page.tally.sent for page in outcome.pages] == [1, 1, 1, 0]
    assert [page.tally.statuses for page in outcome.pages] == [{}, {"200": 1}, {"200": 1}, {"200": 1}]
    assert [page.until for page in outcome.pages[:3]] == [1.0, 2.0, 3.0]
    assert outcome.pages[1].cpu == pytest.approx(0.5)


@given(
    rate=st.floats(1, 300),
    seed=st.integers(0, 9),
    stall=st.integers(0, 1500),
    lag=st.sampled_from([0, 30_000, 7 * MS, 300 * MS]),
)
def test_what_is_sent_has_one_end_whatever_happens(rate: float, seed: int, stall: int, lag: int) -> None:
    kinds: list[Server] = [
        after(MS, OK),
        after(stall * MS, CLOSES, END),
        after(2 * MS, RESET),
        after(3 * MS, OK[:20], END),
        after(3 * MS, b"nonsense nonsense"),
        after(stall * MS, OK, END),
        lambda _at, _request, _number: [],
        after(5 * MS, OK[:10], OK[10:]),
    ]
    chance = np.random.default_rng(seed)

    def any_of_them(at: int, request: bytes, number: int) -> list[Coming]:
        return kinds[chance.integers(len(kinds))](at, request, number)

    load = record.Load(
        kind="open", rate=rate, arrivals="poisson", connections=5, duration=2, timeout=1, seed=seed
    )
    moments = [moment for chunk in send_times(load) for moment in chunk]
    wire = VirtualWire(any_of_them, refuses=lambda number: number % 7 == 3, lag=lag)
    outcome = opened(any_of_them, moments, connections=5, wire=wire)
    assert outcome.tally.sent == outcome.ends == len(moments)
    assert wire.all_closed
    wire = VirtualWire(any_of_them, refuses=lambda number: number % 7 == 3, lag=lag)
    outcome = closed(any_of_them, connections=4, wire=wire)
    assert outcome.tally.sent == outcome.ends
    assert wire.all_closed


@given(lag=st.integers(0, 50 * MS), gap=st.integers(1 * MS, 100 * MS))
def test_the_generators_own_lateness_is_told_apart_and_is_part_of_the_latency(lag: int, gap: int) -> None:
    moments = list(range(-SECOND, 2 * SECOND, gap))
    wire = VirtualWire(after(0, OK), now=-SECOND, lag=lag)
    outcome = opened(after(0, OK), moments, wire=wire)
    counted_ones = sum(moment >= 0 for moment in moments)
    assert outcome.tally.sent == outcome.ends == counted_ones
    late, whole = latency.summary_of(outcome.whole.late), outcome.whole.percentiles
    assert late is not None
    assert whole is not None
    assert late.max <= lag // 1000 * 1.001 + 1
    assert whole.max >= late.p50


# --- ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "end"),
    [
        (after(MS, RESET), "reset"),
        (after(MS, END), "cut"),
        (after(MS, OK[:-1], END), "cut"),
        (after(MS, b"SSH-2.0-OpenSSH_9.2\r\n"), "malformed"),
        (after(MS, OK + b"more"), "malformed"),
        (after(MS, b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "malformed"),
        (after(2 * SECOND, OK), "timeout"),
        (after(MS, ConnectionRefusedError(111, "refused")), "refused"),
        (after(MS, OSError(113, "no route")), "unreachable"),
    ],
)
def test_what_isnt_a_whole_answer_is_a_failure_with_a_name(server: Server, end: str) -> None:
    outcome = opened(server, [0])
    assert (outcome.tally.statuses, outcome.tally.failures) == ({}, {end: 1})


def test_what_was_never_sent_within_the_timeout_is_called_so() -> None:
    outcome = opened(after(1200 * MS, OK), [0, 1 * MS], connections=1, timeout=1)
    assert outcome.tally.failures == {"timeout": 1, "unsent": 1}


def test_a_connection_that_failed_is_replaced_and_the_queue_goes_on() -> None:
    server = once(after(MS, OK), after(100 * MS, RESET), lambda at: at == 0)
    outcome = opened(server, [0, 1 * MS, 2 * MS], connections=1)
    assert (outcome.tally.statuses, outcome.tally.failures) == ({"200": 2}, {"reset": 1})
    assert outcome.wire.opened == 2


def test_refused_connects_are_not_repeated_without_a_pause() -> None:
    wire = VirtualWire(after(MS, OK), refuses=lambda _: True)
    outcome = closed(after(MS, OK), seconds=1, wire=wire)
    assert set(outcome.tally.failures) == {"refused"}
    assert 10 <= outcome.tally.failures["refused"] <= 101


def test_an_announced_end_is_no_failure_and_the_connection_is_replaced_at_once() -> None:
    outcome = closed(after(10 * MS, CLOSES, END), seconds=1)
    assert outcome.tally.failures == {}
    assert outcome.tally.statuses == {"450": outcome.wire.opened}
    assert outcome.wire.opened == 100


def test_a_server_that_never_ends_what_it_announced_to_end_is_left_after_the_timeout() -> None:
    outcome = closed(after(10 * MS, CLOSES), seconds=2, timeout=0.5)
    assert sorted(outcome.wire.left) == list(range(outcome.wire.opened))
    assert outcome.tally.failures == {}


def test_an_end_that_came_with_the_answer_is_seen_before_the_connection_is_used_again() -> None:
    def closes_at_once(at: int, _request: bytes, _number: int) -> list[Coming]:
        return [Coming(at + MS, OK), Coming(at + MS, END)]

    outcome = closed(closes_at_once, seconds=1)
    assert outcome.tally.failures == {}
    assert outcome.tally.statuses == {"200": outcome.wire.opened}


def test_an_idle_connection_that_the_server_closed_isnt_used_again() -> None:
    def closes_soon(at: int, _request: bytes, _number: int) -> list[Coming]:
        return [Coming(at + MS, OK), Coming(at + 50 * MS, END)]

    outcome = opened(closes_soon, [0, 100 * MS, 110 * MS])
    assert (outcome.tally.statuses, outcome.tally.failures) == ({"200": 3}, {})
    assert outcome.wire.opened == 2


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    outcome = opened(after(MS, OK, OK), [0, 100 * MS])
    assert (outcome.tally.statuses, outcome.tally.failures) == ({"200": 2}, {})
    assert outcome.wire.opened == 2
    assert outcome.ending.notes == ["on 2 connections bytes came that nobody had asked for"]


# --- the odd ones ---------------------------------------------------------------------------------------


def test_a_request_that_is_taken_in_pieces_is_sent_whole_once() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    wire = VirtualWire(after(MS, OK), takes=7000)
    outcome = opened(after(MS, OK), [0, 500 * MS], wire=wire, requests=[request])
    assert [sent for _, sent in wire.requests] == [request, request]
    assert outcome.tally.statuses == {"200": 2}
    assert outcome.tally.bytes_sent == 2 * len(request)


def test_an_answer_to_half_a_request_counts_and_ends_the_connection() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    wire = VirtualWire(after(MS, OK), takes=100)
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    wire._post(5 * MS, 10, refusal)
    outcome = opened(after(MS, OK), [0], wire=wire, requests=[request])
    assert (outcome.tally.statuses, outcome.tally.failures) == ({"413": 1}, {})


@pytest.mark.parametrize("size", [0, 1, BUFFER - 60, BUFFER, 3 * BUFFER + 17])
def test_large_answers_come_whole(size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    outcome = closed(after(MS, head + bytes(size)), seconds=0.1)
    assert set(outcome.tally.statuses) == {"200"}
    assert outcome.tally.failures == {}
    assert outcome.tally.bytes_received == (len(head) + size) * outcome.tally.statuses["200"]


def test_answers_of_several_kinds_are_told_apart() -> None:
    other = b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"
    answers = [OK, OK, other, OK, b"HTTP/1.1 100 Continue\r\n\r\n" + OK, other]
    turn = iter(answers * 100)
    outcome = opened(
        lambda at, _request, _number: [Coming(at + MS, next(turn))], [at * 10 * MS for at in range(60)]
    )
    assert outcome.tally.statuses == {"200": 40, "500": 20}


def test_answers_to_head_have_no_body() -> None:
    outcome = opened(after(MS, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), [0, 9 * MS], bodiless=True)
    assert outcome.tally.statuses == {"200": 2}


def test_bodies_are_sent_in_turns_and_renewed_each_second() -> None:
    many = [REQUEST[:-3] + text for text in (b"one", b"two", b"six")]
    number = iter(range(100))

    def renewed() -> list[bytes]:
        return [each + b"" if next(number) < 0 else each[:-3] + b"new" for each in many]

    outcome = opened(after(MS, OK), [0, 1, 2, 3, 1500 * MS], requests=list(many), renewed=None)
    assert [request[-3:] for _, request in outcome.wire.requests] == [b"one", b"two", b"six", b"one", b"two"]
    outcome = opened(after(MS, OK), [-500 * MS, 1500 * MS], requests=list(many), renewed=renewed, warm_up=1)
    assert [request[-3:] for _, request in outcome.wire.requests] == [b"one", b"new"]


def test_answers_are_checked_where_asked() -> None:
    turn = iter([OK, OK[:-2] + b"no", CLOSES] * 10)
    seen = []

    def checking(body: bytes, answer: bytes) -> str | None:
        seen.append((body, answer))
        return None if answer == b"ok" else f"{answer!r} isn't ok"

    outcome = opened(
        lambda at, _request, _number: [Coming(at + MS, next(turn))],
        [0, 100 * MS, 200 * MS],
        requests=[REQUEST, REQUEST],
        checking=checking,
        bodies=(b"a", b"b"),
    )
    assert outcome.tally.statuses == {"200": 1, "450": 1}
    assert outcome.tally.failures == {"wrong": 1}
    assert outcome.ending.notes == ["wrong: b'no' isn't ok"]
    assert seen == [(b"a", b"ok"), (b"b", b"no")]  # a refusal is no answer to be checked


def test_a_run_that_is_stopped_waits_for_what_is_under_way() -> None:
    pages: list[Page] = []
    wire = VirtualWire(after(300 * MS, OK))
    loop = Open(wire, [REQUEST], _settings(10, 100, {}), pages.append, iter([[0, SECOND, 2 * SECOND]]))
    take = wire.wait

    def wait(until: int) -> list[tuple[int, int]]:
        if wire.now >= SECOND:
            loop.stop()
        return take(until)

    wire.wait = wait  # type: ignore[method-assign]
    loop.run()
    assert Outcome(pages, wire, loop.ending).tally.statuses == {"200": 2}
    assert 1 <= loop.ending.seconds < 1.1
