"""A canary: a share of the requests is answered by another release, and both sides are measured.

Only the requests that are measured pay for it, with a small client in front of their own: the canary's, and
as many others, one behind each of the canary's. Latencies of all others are in ``Counters``, but in buckets
that are too wide to compare (``telemetry.latencies``); what became of all others is read there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eas_engine.errors import ProcessorRaised, Refusal, kinds_of
from eas_engine.request import Client
from eas_engine.telemetry.comparison import Comparison, Side
from eas_engine.telemetry.latencies import Latencies
from eas_engine.workers.lane import Share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eas_engine.errors import InstanceCrashed
    from eas_engine.request import Body, Ticket
    from eas_engine.telemetry.counters import Counters
    from eas_engine.workers.lane import Lane

_LATE: Final = "deadline_exceeded"
_RAISED: Final = "processor_exception"


class Tally:
    """What was counted of one side."""

    __slots__ = ("errors", "latencies", "rejected", "requests")

    def __init__(self) -> None:
        self.requests = self.errors = self.rejected = 0
        self.latencies = Latencies()

    def __repr__(self) -> str:
        return f"<Tally {self.requests} answered, {self.errors} errors, {self.rejected} rejected>"

    def note(self, ticket: Ticket, now: float, *, error: bool, rejected: bool) -> None:
        """One ending."""
        self.requests += 1
        self.errors += error
        self.rejected += rejected
        self.latencies.note(now - ticket.arrived)


class Measured(Client):
    """In front of the client of a request that is measured. ``client``: that client."""

    __slots__ = ("_tally", "client")

    def __init__(self, client: Client, tally: Tally) -> None:
        self.client = client
        self._tally = tally

    def succeeded(self, ticket: Ticket, body: bytes, now: float, begun: float, process_us: int) -> None:
        """See ``request.Client``."""
        self._tally.note(ticket, now, error=False, rejected=False)
        self.client.succeeded(ticket, body, now, begun, process_us)

    def answered(  # noqa: PLR0917 - see request.Client
        self,
        ticket: Ticket,
        status: int,
        headers: bytes,
        body: Body,
        now: float,
        sent: Callable[[], None] | None,
    ) -> None:
        """See ``request.Client``."""
        self._tally.note(ticket, now, error=status >= 500, rejected=400 <= status < 500)
        self.client.answered(ticket, status, headers, body, now, sent)

    def refused(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        """See ``request.Client``."""
        rejected = isinstance(refusal, ProcessorRaised)
        self._tally.note(ticket, now, error=not rejected, rejected=rejected)
        self.client.refused(ticket, refusal, now)

    def died(self, ticket: Ticket, now: float) -> None:
        """Its instance has died, and it will be tried elsewhere: that is how it ended here."""
        self._tally.note(ticket, now, error=True, rejected=False)


class CanaryTrial:
    """What is known of one canary. ``lane``: where its requests wait."""

    def __init__(self, lane: Lane, part: float, counters: Counters, clock: Callable[[], float]) -> None:
        self.lane = lane
        self.share = Share(part)
        self.tally, self._control = Tally(), Tally()
        self.overflowed = 0
        self._controls = 0  # others that are yet to be measured
        self._elsewhere = 0  # that ended here with a host, and were tried again elsewhere
        self._counters, self._clock = counters, clock
        self._began, self._before = clock(), _outcomes(counters)

    def __repr__(self) -> str:
        return f"<CanaryTrial {self.share!r} {self.tally!r}>"

    def tag(self, ticket: Ticket) -> None:
        """The ticket goes to the canary."""
        self._controls += 1
        if ticket.client is not None:
            ticket.client = Measured(ticket.client, self.tally)

    def pass_by(self, ticket: Ticket) -> None:
        """The ticket goes the usual way."""
        if self._controls and ticket.client is not None:
            self._controls -= 1
            ticket.client = Measured(ticket.client, self._control)

    def died(self, begun: Iterable[Ticket], crash: InstanceCrashed) -> None:
        """A host of it died with these begun, and they will be tried again, elsewhere."""
        now = self._clock()
        for ticket in begun:
            if isinstance(ticket.client, Measured):
                ticket.client.died(ticket, now)
                self._elsewhere += 1
        untag(begun)

    def comparison(self) -> Comparison:
        """What was counted until now."""
        requests, errors, rejected = (
            now - before for now, before in zip(_outcomes(self._counters), self._before, strict=True)
        )
        own, sample, elsewhere = self.tally, self._control.latencies, self._elsewhere
        return Comparison(
            seconds=self._clock() - self._began,
            canary=Side(
                requests=own.requests,
                errors=own.errors,
                rejected=own.rejected,
                measured=own.latencies.count,
                p50=own.latencies.quantile(0.5),
                p99=own.latencies.quantile(0.99),
            ),
            others=Side(
                requests=max(0, requests - own.requests + elsewhere),
                errors=max(0, errors - own.errors + elsewhere),
                rejected=max(0, rejected - own.rejected),
                measured=sample.count,
                p50=sample.quantile(0.5),
                p99=sample.quantile(0.99),
            ),
            overflowed=self.overflowed,
        )


def untag(tickets: Iterable[Ticket]) -> None:
    """They go the usual way after all: what becomes of them says nothing of the canary."""
    for ticket in tickets:
        if isinstance(ticket.client, Measured):
            ticket.client = ticket.client.client


def _outcomes(counters: Counters) -> tuple[int, int, int]:
    """Requests that had a place and were answered; errors and rejections among them (``Side``).

    What the engine answered before there was a place is taken out, by its code.
    """
    statuses, refusals = dict(counters.statuses), dict(counters.refusals)
    made = {kind.code: kind.status for kind in kinds_of(Refusal)}
    engine = [(made.get(code, 0), count, code) for code, count in refusals.items()]
    errors = sum(count for status, count in statuses.items() if status >= 500)
    errors -= sum(count for status, count, _ in engine if status == 503)
    rejected = sum(count for status, count in statuses.items() if 400 <= status < 500)
    rejected -= sum(count for status, count, code in engine if 400 <= status < 500 and code != _RAISED)
    return sum(counters.total), errors + refusals.get(_LATE, 0), rejected
