"""A short chaos: instances are killed under load, and every client gets the right answer or a documented one.

The long one is ``make chaos``.
"""

from __future__ import annotations

import signal

import pytest

from eas_bench.chaos.run import Plan, run
from eas_bench.soak import run as life

SECONDS = 12


@pytest.mark.parametrize("retry", [False, True], ids=["", "retry_on_crash"])
def test_kills_under_load_cost_no_more_than_what_was_begun(retry: bool) -> None:
    """With retries not even that. Memory and descriptors stay, as far as so short a time can tell."""
    plan = Plan(
        seconds=SECONDS, retry=retry, instances=6, clients=12, memory=16 << 20, descriptors=12, pace=False
    )
    outcome = run(plan)
    assert outcome.faults == []
    assert outcome.kills >= 3
    assert outcome.answers["200"] > 0
    ours = {told for told in outcome.answers if told != "200"}
    assert ours <= ({"408 deadline_exceeded"} if retry else {"500 instance_killed", "408 deadline_exceeded"})


@pytest.mark.parametrize("every", [0.0, 1.0], ids=["", "kills"])
def test_clients_that_behave_badly_cost_the_others_nothing(every: float) -> None:
    """They leave at any moment, send nonsense and dawdle; with kills, each innocent is tried again."""
    plan = Plan(
        seconds=SECONDS,
        every=every,
        retry=bool(every),
        instances=4,
        clients=8,
        rogues=12,
        memory=16 << 20,
        descriptors=32,
        pace=False,
    )
    outcome = run(plan)
    assert outcome.faults == []
    assert outcome.answers["200"] > 0
    assert set(outcome.answers) <= ({"200", "408 deadline_exceeded"} if every else {"200"})
    assert outcome.misdeeds.total() > 0
    assert outcome.refusals.total() == outcome.misdeeds["bad input"]


def strike(_seconds: float, _told: str) -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_chaos_that_is_ended_tells_what_it_saw_and_asks_for_no_more() -> None:
    """Which is too little for a verdict: neither the kills nor the deeds that lack are missed."""
    outcome = run(Plan(seconds=3600, instances=2, clients=2, rogues=2), progress=strike)
    assert outcome.stopped
    assert (outcome.faults, outcome.unshown) == ([], [])
    assert outcome.seconds < 3600


def test_the_life_of_a_service_that_is_ended_tells_what_it_saw() -> None:
    outcome = life.run(3600, clients=2, only=frozenset({"scale"}), progress=strike)
    assert outcome.stopped
    assert outcome.deeds == {"scale": 1}
    assert outcome.faults == []
