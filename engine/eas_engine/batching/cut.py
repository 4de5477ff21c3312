"""How many of those that wait leave together now, or when must somebody look again? Pure arithmetic.

The latency contract
--------------------
*Waiting already done counts*: all instants are the requests' own (the arrival of the first byte, the
deadline), never the moment at which a worker thread became free.

1. While a thread is idle nobody waits longer than until ``timeout`` after the oldest one's arrival, nor until
   a batch that lasts as long as batches lately do would come too late for the earliest deadline. With
   ``when_idle`` (and while the engine drains: nobody else will come) nobody waits at all.
2. A batch that is full goes at once; to an idle thread, or *ahead* to one that is about to be: it loses
   nothing by that, for nobody could join it any more. If a thread of another host is idle first, the pool
   takes it back within a few milliseconds (``workers.pool``).
3. What isn't full never goes ahead: it may still grow while every thread is busy. So requests that nobody can
   work on cost nobody anything, and the first thread that becomes idle gets as many as there are then.
4. Nothing goes before it must without a reason of the above: without ``when_idle`` a batch that isn't full
   goes at the instant of 1 and not earlier.
5. ``Cut.look`` is that instant. Who looks then finds a batch, who looks before finds none, as long as nothing
   else changes. It is infinite where only a change helps: a request, an answer, the end of a deadline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

FULL: Final = "full"
AGE: Final = "age"
DEADLINE: Final = "deadline"
IDLE: Final = "idle"
DRAIN: Final = "drain"
REASONS: Final = (FULL, AGE, DEADLINE, IDLE, DRAIN)
"""Why a batch went. Of several reasons that hold, the first in the order of ``cut``."""

SLACK: Final = 0.002
"""Seconds by which a batch goes earlier than its deadline wants it: timers have the resolution of 1 ms."""


@dataclass(frozen=True)
class Rules:
    """``rpc.max_batch_size`` (rows), ``max_batch_timeout`` (here in seconds) and ``batch_when_idle``."""

    max_batch_size: int
    timeout: float
    when_idle: bool


class Waiting(NamedTuple):
    """Those that wait. Their instants matter only while they are too few for a full batch."""

    requests: int
    oldest: float
    """The earliest arrival of a first byte."""
    deadline: float
    """The earliest one."""


class Hosts(NamedTuple):
    """Where a batch could go."""

    idle: bool
    """A worker thread has nothing to do."""
    ahead: bool
    """A host takes a full batch ahead of its threads."""


class Cut(NamedTuple):
    """So many requests go now, for ``reason``; or none, and the line is to be looked at again at ``look``."""

    requests: int
    reason: str = ""
    look: float = math.inf


NOTHING: Final = Cut(0)


def cut(
    waiting: Waiting,
    now: float,
    rules: Rules,
    hosts: Hosts,
    *,
    full: int,
    seconds: float | None,
    draining: bool,
) -> Cut:
    """See the contract above.

    ``full`` is how many requests make a full batch (``requests_in_full``), ``seconds`` what a batch takes, as
    those lately did (None: there was none yet), ``draining`` that nobody else will come.
    """
    count = waiting.requests
    if not count or not (hosts.idle or hosts.ahead):
        return NOTHING
    if count >= full:
        return Cut(full, FULL)
    if not hosts.idle:
        return NOTHING
    if draining:
        return Cut(count, DRAIN)
    latest = begin_by(waiting, seconds)
    if now >= latest:
        return Cut(count, DEADLINE)
    aged = waiting.oldest + rules.timeout
    if now >= aged:
        return Cut(count, AGE)
    if rules.when_idle:
        return Cut(count, IDLE)
    return Cut(0, "", min(latest, aged))


def begin_by(waiting: Waiting, seconds: float | None) -> float:
    """The instant at which a batch must go lest it come too late for the earliest deadline.

    As long as nobody knows what a batch takes, half of the time is left to it.
    """
    if seconds is None:
        return (waiting.oldest + waiting.deadline) / 2
    return waiting.deadline - seconds - SLACK


def requests_in_full(max_batch_size: int, rows_per_request: float) -> int:
    """How many requests have ``max_batch_size`` rows together; one at least, and one where one has more."""
    return max(1, int(max_batch_size / max(1.0, rows_per_request) + 1e-9))
