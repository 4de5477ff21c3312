"""How large batches may be after a GPU had no memory for more: the arithmetic, and over a link."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.workers.batch_cap import MOST_PATIENT, PATIENT, Cap, after
from support.batches import Making, ask, link_of, units

FULL = 16


def run(cap: Cap | None, batches: int, room: int, *, full: int = FULL) -> tuple[Cap | None, list[int]]:
    """So many batches as large as they may be, of an instance with room for ``room``; what they had."""
    sizes = []
    for _ in range(batches):
        size = full if cap is None else min(full, cap.requests)
        sizes.append(size)
        cap = after(cap, size, size if size > room else 0, full)
    return cap, sizes


def test_it_is_halved_until_it_fits() -> None:
    assert run(None, 4, room=5)[1] == [16, 8, 4, 4]


def test_it_is_raised_step_by_step_until_there_is_none_any_more() -> None:
    cap = after(None, FULL, FULL, FULL)
    cap, sizes = run(cap, 5 * PATIENT, room=FULL)
    assert sizes == [size for size in (8, 10, 12, 15, 16) for _ in range(PATIENT)]
    assert cap is None


def test_a_try_that_was_too_much_goes_back_to_what_did_and_waits_longer() -> None:
    cap = after(None, FULL, FULL, FULL)
    cap, sizes = run(cap, 3 * PATIENT + 2, room=9)
    assert sizes == [8] * PATIENT + [10] + [8] * (2 * PATIENT) + [10]
    assert cap == Cap(8, 4 * PATIENT)


def test_a_step_back_that_doesnt_do_any_more_is_halved() -> None:
    raised = Cap(10, before=8)
    assert after(raised, 10, 8, FULL) == Cap(4, PATIENT)
    assert after(Cap(8, 2 * PATIENT), 8, 8, FULL) == Cap(4, 2 * PATIENT)


def test_smaller_batches_say_nothing_about_larger_ones() -> None:
    assert after(Cap(8, good=3), 7, 0, FULL) == Cap(8, good=3)
    assert after(None, FULL, 0, FULL) is None


@given(
    room=st.integers(1, 64),
    full=st.integers(1, 64),
    sizes=st.lists(st.integers(1, 64), min_size=1, max_size=300),
)
def test_it_is_never_too_small_for_one_nor_larger_than_what_is_full(
    room: int, full: int, sizes: list[int]
) -> None:
    cap: Cap | None = None
    for size in sizes:
        most = full if cap is None else cap.requests
        had = min(size, most)
        before, cap = cap, after(cap, had, had if had > room else 0, full)
        if cap is None:
            continue
        assert 1 <= cap.requests <= full
        assert 0 <= cap.good < cap.patience <= MOST_PATIENT
        if had > room:
            assert cap.requests < had or had == 1
        if before is not None and had <= room:
            assert cap.requests >= before.requests


@given(room=st.integers(1, 64), full=st.integers(2, 64))
def test_most_batches_fit_in_the_long_run(room: int, full: int) -> None:
    _, sizes = run(None, 4000, room, full=full)
    failed = [at for at, size in enumerate(sizes) if size > room]
    assert len(failed) <= 6 + 12, "halved at most six times, and then tried ever more rarely"


# -- over a link


def test_a_host_gets_no_more_than_fits_and_others_get_theirs(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    host.too_large = 4
    ask(parts, 4)
    parts.serve_all()
    assert link_of(host).cap == Cap(2)
    host.too_large = 0
    asked = ask(parts, 8)
    other = parts.host(threads=1)
    parts.loop.turn()
    assert sorted([units(host), units(other)]) == [[2], [4]]
    assert not link_of(host).takes_one_ahead()
    parts.serve_all()
    assert {asker.code for asker, _ in asked} == {200}
    parts.check_empty()


def test_after_enough_that_did_it_gets_full_ones_again(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    host.too_large = 4
    ask(parts, 4)
    parts.serve_all()
    host.too_large = 0
    for _ in range(3 * PATIENT):
        ask(parts, 4)
        parts.serve_all()
    assert link_of(host).cap is None
    ask(parts, 4)
    parts.loop.turn()
    assert units(host) == [4]
    parts.serve_all()


def test_who_alone_had_no_memory_is_told_so(batching: Making) -> None:
    parts = batching()
    host = parts.host(threads=1)
    asked = ask(parts, 2)
    parts.loop.turn()
    full, raised = host.read()
    host.begin(full)
    host.begin(raised)
    host.fail(full, b"no GPU memory left: x", status=500)
    host.fail(raised, b"no")
    parts.loop.turn()
    assert [asker.code for asker, _ in asked] == ["gpu_out_of_memory", "processor_exception"]
    parts.check_empty()
