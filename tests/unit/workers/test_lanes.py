"""Several releases at once: who gets which request, what is measured, and what becomes of lanes that end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.batching.cut import Rules
from eas_engine.errors import InstanceCrashed
from eas_engine.request import Ticket
from eas_engine.telemetry.comparison import Comparison
from eas_engine.workers.batch_link import BatchLink
from eas_engine.workers.lane import Beside, Canary, Shadow, Share
from support.parts import Asker, Parts
from support.wire_host import WireHost

NEW = 7
BATCHES = Rules(4, 0.05, when_idle=True)
PATIENT = Rules(4, 0.05, when_idle=False)
Making = Callable[..., Parts]


@pytest.fixture
def make() -> Iterator[Making]:
    """A data plane with limits of the test's own."""
    made: list[Parts] = []

    def make(**limits: Any) -> Parts:
        made.append(Parts(**{"queue": 100, **limits}))
        return made[-1]

    yield make
    for parts in made:
        parts.close()


def canary(parts: Parts, share: float = 0.5, batching: Rules | None = None, threads: int = 2) -> WireHost:
    """One host of a release that gets this share."""
    parts.lanes.open(NEW, Canary(share), batching)
    return parts.host(threads, release=NEW)


def ask(parts: Parts, count: int = 1, body: bytes = b"") -> list[Asker]:
    askers = []
    for _ in range(count):
        asker, ticket = parts.ask(body)
        assert isinstance(ticket, Ticket)
        askers.append(asker)
    parts.loop.turn()
    return askers


def compared(parts: Parts) -> Comparison:
    found = parts.lanes.comparison(NEW)
    assert isinstance(found, Comparison)
    return found


def numbers(host: WireHost) -> list[int]:
    return [call.number for call in host.read()]


# -- shares


@given(st.integers(1, 1000), st.integers(1, 300))
def test_of_any_number_in_a_row_the_share_is_chosen_give_or_take_one(thousandths: int, skipped: int) -> None:
    share, part = Share(thousandths / 1000), thousandths / 1000
    for _ in range(skipped):
        share.next()
    for count in (1, 7, 100, 1000):
        chosen = sum(share.next() for _ in range(count))
        assert abs(chosen - count * part) < 1


@pytest.mark.parametrize("part", [0.0, -0.1, 1.01, 1e-9])
def test_a_share_is_more_than_none_and_at_most_all(part: float) -> None:
    with pytest.raises(ValueError, match="a share is more than 0 and at most 1"):
        Share(part)


def test_ten_percent_is_every_tenth(make: Making) -> None:
    parts = make()
    main, new = parts.host(100), canary(parts, 0.1, threads=100)
    ask(parts, 40)
    assert numbers(new) == [10, 20, 30, 40]
    assert len(numbers(main)) == 36


# -- a canary


def test_without_a_ready_host_of_the_canary_main_takes_all(make: Making) -> None:
    parts = make()
    main = parts.host(100)
    parts.lanes.open(NEW, Canary(1.0), None)
    starting = parts.host(release=NEW, opened=False)
    ask(parts, 3)
    assert (len(numbers(main)), numbers(starting)) == (3, [])
    starting.link.open(2)
    parts.lanes.settle()
    ask(parts, 2)
    assert numbers(starting) == [4, 5]


def test_what_waits_for_a_canary_that_dies_goes_to_main_in_order(make: Making) -> None:
    parts = make()
    main, new = parts.host(threads=1), canary(parts, 0.5, threads=1)
    askers = ask(parts, 8)
    assert (numbers(main), numbers(new)) == ([1], [2])
    assert new.begin(new.read()[0])
    parts.kill(new)
    assert askers[1].code == "instance_crashed"
    assert [ticket.number for ticket in parts.backlog.line] == [3, 4, 5, 6, 7, 8]
    parts.serve_all()
    assert [asker.code for asker in askers] == [200, "instance_crashed", *[200] * 6]
    found = compared(parts)
    assert (found.canary.requests, found.canary.errors) == (1, 1), "those that went to main aren't its"
    parts.check_empty()


def test_what_a_leaving_canary_gives_back_goes_to_main(make: Making) -> None:
    parts = make()
    main, new = parts.host(threads=1), canary(parts, 1.0, threads=2)
    ask(parts, 2)
    first, second = new.read()
    assert new.begin(first)
    new.link.drain()
    parts.lanes.settle()
    parts.loop.advance(0.01)
    assert numbers(main) == [second.number]
    new.skip(second)
    new.answer(first)
    parts.loop.turn()
    assert new.link.idle()


def test_a_canary_that_falls_behind_gets_no_more_than_its_hosts_may_hold(make: Making) -> None:
    parts = make(queue=3, threads=1)
    parts.host(threads=1)
    new = canary(parts, 1.0, threads=1)
    parts.see(live=3)
    ask(parts, 12)
    assert len(new.read()) == 1
    assert (parts.lanes.waiting(), len(parts.backlog)) == (12, 6)
    assert compared(parts).overflowed == 7


def test_a_canary_is_measured_beside_the_others(make: Making) -> None:
    parts = make()
    main, new = parts.host(100), canary(parts, 0.25, threads=100)
    ask(parts, 40)
    parts.loop.advance(0.010)
    for call in list(main.read()):
        assert main.begin(call)
        main.answer(call)
    parts.loop.turn()
    parts.loop.advance(0.010)
    for place, call in enumerate(list(new.read())):
        assert new.begin(call)
        new.answer(call, status=(200, 500, 503, 404)[place % 4])
    parts.loop.turn()
    found = compared(parts)
    assert (found.canary.requests, found.canary.errors, found.canary.rejected) == (10, 5, 2)
    assert (found.others.requests, found.others.errors, found.others.rejected) == (30, 0, 0)
    assert (found.canary.measured, found.others.measured) == (10, 9), "one behind each, but for the last"
    assert found.canary.p50 >= 0.019
    assert found.seconds == pytest.approx(0.020)


def test_errors_of_others_are_those_since_it_began_without_what_the_gate_refused(make: Making) -> None:
    parts = make(queue=0, threads=3)
    main = parts.host(threads=1)
    ask(parts)
    main.fail(main.read()[0], b"before")
    parts.loop.turn()
    canary(parts, 0.000001)
    askers = ask(parts, 3)
    for refusals in (2, 1):  # 450, and 503
        for _ in range(refusals):
            _, refused = parts.ask()
            assert not isinstance(refused, Ticket)
            parts.front.refused(refused, None, parts.loop.now)
        parts.gate.drain()
    for status in (500, 418, 418):
        call = main.read()[0]
        assert main.begin(call)
        main.answer(call, status=status)
        parts.loop.turn()
    assert [asker.code for asker in askers] == [500, 418, 418]
    others = compared(parts).others
    assert (others.requests, others.errors, others.rejected) == (3, 1, 2)


def test_an_exception_of_the_processor_rejects_and_a_deadline_is_an_error(make: Making) -> None:
    parts = make(keepalive=1.0)
    new = canary(parts, 1.0)
    raises, late = ask(parts, 2)
    call = new.read()[0]
    assert new.begin(call)
    new.fail(call, b"no")
    parts.loop.turn()
    parts.loop.advance(1.1)
    assert (raises.code, late.code) == ("processor_exception", "deadline_exceeded")
    found = compared(parts)
    assert (found.canary.requests, found.canary.errors, found.canary.rejected) == (2, 1, 1)
    assert found.canary.p99 == pytest.approx(1.0, rel=0.03)


def test_a_canarys_death_counts_though_its_request_is_answered_elsewhere(make: Making) -> None:
    parts = make(retry=True)
    main, new = parts.host(), canary(parts, 1.0)
    (asker,) = ask(parts)
    assert new.begin(new.read()[0])
    parts.kill(new)
    assert numbers(main) == [1]
    parts.serve_all()
    assert asker.code == 200
    found = compared(parts)
    assert (found.canary.requests, found.canary.errors) == (1, 1)
    assert (found.others.requests, found.others.errors) == (1, 0)


def test_suspects_of_others_are_not_tried_on_a_canary(make: Making) -> None:
    parts = make(retry=True)
    main, new = parts.host(threads=1), canary(parts, 0.000001)
    (asker,) = ask(parts)
    assert main.begin(main.read()[0])
    parts.kill(main)
    parts.lanes.link("digits-9", NEW).lost(InstanceCrashed())
    later = parts.host(release=NEW)
    assert (numbers(new), numbers(later), asker.code) == ([], [], None)
    again = parts.host()
    assert numbers(again) == [1]


# -- its end


def test_a_promoted_canarys_hosts_and_requests_join_main(make: Making) -> None:
    parts = make()
    main, new = parts.host(threads=1), canary(parts, 0.5, threads=1)
    askers = ask(parts, 6)
    parts.lanes.merge(NEW)
    assert [ticket.number for ticket in parts.backlog.line] == [3, 4, 5, 6]
    assert {link.name for link in parts.pool.links} == {main.link.name, new.link.name}
    assert parts.front.submit == parts.pool.submit, "one lane: nothing in between"
    with pytest.raises(LookupError):
        parts.lanes.comparison(NEW)
    parts.serve_all()
    assert [asker.code for asker in askers] == [200] * 6
    assert new.link in parts.host(release=NEW).link._pool.links  # type: ignore[attr-defined]
    parts.check_empty()


def test_a_dismissed_canary_gets_nothing_more_and_finishes(make: Making) -> None:
    parts = make()
    main, new = parts.host(threads=1), canary(parts, 0.5, threads=1)
    askers = ask(parts, 6)
    parts.lanes.close(NEW)
    assert new.begin(new.read()[0])
    new.answer(new.read()[0])
    parts.loop.turn()
    assert new.read() == []
    assert parts.lanes.links() == [main.link, new.link], "its threads are counted until they are gone"
    parts.kill(new)
    assert parts.lanes.links() == [main.link]
    parts.serve_all()
    assert [asker.code for asker in askers] == [200] * 6
    assert parts.host(release=NEW).link in parts.pool.links
    parts.check_empty()


def test_a_canary_that_batches_where_main_does_not_stands_beside_it_when_promoted(make: Making) -> None:
    parts = make()
    main, new = parts.host(threads=1), canary(parts, 0.5, BATCHES, threads=1)
    askers = ask(parts, 2) + ask(parts, 6)
    parts.lanes.merge(NEW)
    assert len(parts.backlog) == 6
    assert isinstance(new.link, BatchLink)
    new.serve()
    parts.loop.turn()
    new.read()
    assert [len(unit.calls) for unit in new.units] == [4], "it takes from main's line"
    main.serve()
    parts.loop.turn()
    parts.kill(main)
    assert new.link in parts.pool.links, "main has no host left: now this is main"
    parts.serve_all()
    assert [asker.code for asker in askers] == [200] * 8
    old = parts.host(threads=1)
    assert not isinstance(old.link, BatchLink), "a host of the old release is one of its kind still"
    parts.check_empty()


@pytest.mark.parametrize("kind", [Canary(0.5), Shadow(0.5)])
def test_one_release_is_tried_out_at_a_time(make: Making, kind: Canary | Shadow) -> None:
    parts = make()
    parts.host()
    canary(parts)
    with pytest.raises(ValueError, match="release 7 is being tried out already"):
        parts.lanes.open(8, kind, None)
    with pytest.raises(ValueError, match="release 7 has a lane already"):
        parts.lanes.open(NEW, Beside(), None)
    with pytest.raises(ValueError, match="release 0 has a lane already"):
        parts.lanes.open(0, Beside(), None)
    for act in (parts.lanes.merge, parts.lanes.close):
        with pytest.raises(LookupError, match="release 8 has no lane"):
            act(8)


# -- beside main


def beside(parts: Parts, batching: Rules | None, threads: int = 2) -> WireHost:
    parts.lanes.open(NEW, Beside(), batching)
    return parts.host(threads, release=NEW)


def test_whoever_has_most_free_threads_gets_the_next_one(make: Making) -> None:
    parts = make()
    main, new = parts.host(threads=1), beside(parts, BATCHES, threads=3)
    ask(parts, 1)
    ask(parts, 1)
    ask(parts, 1)
    assert (len(numbers(main)), len(numbers(new))) == (1, 2)


def test_the_first_in_line_goes_to_the_first_thread_whatever_its_lane(make: Making) -> None:
    parts = make()
    main, new = parts.host(threads=1), beside(parts, BATCHES, threads=1)
    ask(parts, 2)
    ask(parts, 3)
    assert len(parts.backlog) == 3
    main.serve()
    parts.loop.turn()
    assert numbers(main) == [3]
    new.serve()
    parts.loop.turn()
    assert numbers(new) == [4, 5]


def test_what_waits_for_company_is_taken_by_a_thread_that_is_free(make: Making) -> None:
    parts = make(batching=PATIENT)
    main, new = parts.host(threads=4), beside(parts, None, threads=1)
    ask(parts, 2)
    assert (numbers(main), numbers(new), len(parts.backlog)) == ([], [1], 1)
    new.serve()
    parts.loop.turn()
    assert numbers(new) == [2]


def test_work_ahead_is_taken_back_for_a_free_thread_beside(make: Making) -> None:
    parts = make()
    main = parts.host(threads=1)
    for _ in range(30):
        ask(parts)
        main.read()
        assert main.begin(main.calls[0])
        main.answer(main.calls[0], us=1)
        parts.loop.turn()
    ask(parts, 4)
    assert len(numbers(main)) == 4, "three are ahead of its only thread"
    assert main.begin(main.calls[0])
    new = beside(parts, BATCHES)
    parts.loop.advance(0.01)
    assert numbers(new) == [32, 33, 34]


def test_a_suspect_is_tried_in_any_lane_that_serves_like_main(make: Making) -> None:
    parts = make(retry=True)
    main, new = parts.host(threads=1), beside(parts, BATCHES, threads=1)
    asker = ask(parts, 2)[0]
    new.serve()
    parts.loop.turn()
    assert main.begin(main.read()[0])
    parts.kill(main)
    assert parts.quarantine.reserved is new.link
    parts.serve_all()
    assert asker.code == 200


# -- live settings


def test_other_rules_of_batching_hold_for_who_waits_already(make: Making) -> None:
    parts = make(batching=Rules(10, 60.0, when_idle=False))
    host = parts.host()
    ask(parts, 3)
    assert numbers(host) == []
    parts.lanes.configure(Rules(2, 60.0, when_idle=False))
    parts.loop.turn()
    host.read()
    assert [len(unit.calls) for unit in host.units] == [2]
    parts.lanes.configure(Rules(2, 0.0, when_idle=False))
    parts.loop.turn()
    assert numbers(host) == [1, 2, 3]


def test_the_timer_of_the_old_rules_does_not_ring(make: Making) -> None:
    parts = make(batching=Rules(10, 0.05, when_idle=False))
    host = parts.host()
    ask(parts)
    parts.lanes.configure(Rules(10, 1.0, when_idle=False))
    parts.loop.advance(0.1)
    assert numbers(host) == []
    parts.loop.advance(0.95)
    assert numbers(host) == [1]


def test_a_service_without_batches_takes_no_rules_of_them(make: Making) -> None:
    parts = make()
    host = parts.host()
    parts.lanes.configure(BATCHES)
    ask(parts)
    assert numbers(host) == [1]


def test_retrying_is_turned_on_and_off(make: Making) -> None:
    parts = make()
    for on in (False, True, False):
        parts.lanes.retry(on=on)
        host = parts.host()
        (asker,) = ask(parts)
        assert host.begin(host.read()[0])
        parts.kill(host)
        assert asker.code == (None if on else "instance_crashed")
        parts.host()
        parts.serve_all()
        assert asker.code == (200 if on else "instance_crashed")
        parts.kill(parts.hosts[0])
    parts.check_empty()


def test_those_under_suspicion_get_their_second_try_when_it_is_turned_off(make: Making) -> None:
    parts = make(retry=True)
    host = parts.host()
    (asker,) = ask(parts)
    assert host.begin(host.read()[0])
    parts.kill(host)
    parts.lanes.retry(on=False)
    parts.host()
    parts.serve_all()
    assert asker.code == 200


def test_a_suspect_need_not_wait_for_mains_own_host(make: Making) -> None:
    parts = make(retry=True)
    main, starting, new = parts.host(threads=1), parts.host(opened=False), beside(parts, BATCHES, threads=1)
    asker = ask(parts, 2)[1]
    main.serve()
    parts.loop.turn()
    assert asker.code is None
    assert new.begin(new.read()[0])
    parts.kill(new)
    again = parts.host(threads=1, release=NEW)
    assert parts.lanes.main.pool.links == [main.link, starting.link]
    main.link.drain()
    parts.lanes.settle()
    parts.loop.advance(0.01)  # what was handed out and not begun is taken back
    assert numbers(again) == [2]
    parts.serve_all()
    assert asker.code == 200
