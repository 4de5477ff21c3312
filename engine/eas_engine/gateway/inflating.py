"""``rpc.decompressor``: every request's body is inflated between its last byte and the queue.

Stands where ``Front.submit`` leads to, so that a service without it pays nothing and the connection knows
nothing of it.

Theory of operation
-------------------
* A body is inflated into memory of ``capacity`` bytes: as many as it says it becomes, else four times as many
  as came. If that was too little, once more into four times as much, up to ``Front.max_body``, which is the
  most that it may become (413). Guessing again costs a third of the time, and only for bodies whose format
  doesn't tell their size.
* The capacity is reserved in the budget (``rpc.max_inflight_bytes``) before there is any memory, beside what
  has come, and what wasn't needed is given back. Large ones are inflated in the arena, where hosts read them.
* Small ones are inflated at once. Larger ones are a thread's: 16 KiB take about 0.1 ms to inflate, as long as
  waking a thread and being woken by it. Those few that would take much longer (``codecs.Unfinished``) go to a
  thread, too.
* While a thread is at work on a ticket, this holds it: when its client leaves or its deadline comes, its
  place is free at once, and its memory once the thread is done (``Gate.leave``), which asks before
  it begins and now and then whether it is still wanted.

Reads the clock directly: this is the hot path of such services.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from eas_engine.errors import BodyTooLarge, BrokenBody, Refusal
from eas_engine.gateway.codecs import QUICK, Broken, Codec, Terms, TooSmall, Unfinished
from eas_engine.request import Holder

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.gateway.front import Front
    from eas_engine.gateway.threads import Threads
    from eas_engine.request import Ticket

SMALL: Final = 16 * 1024
"""Bodies up to this size, as they come, are inflated on the loop ..."""
SMALL_RESULT: Final = 64 * 1024
"""... if no more than this comes out."""
_LEAST: Final = 4096
_FACTOR: Final = 4
_SPILLS: Final = 256 * 1024
_TOO_LARGE: Final = "inflated, the body is larger than rpc.max_body_size"


class _Job:
    """One body on its way from compressed to inflated."""

    __slots__ = ("abandoned", "capacity", "offset", "sink", "ticket", "waiting")

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.capacity = 0  # bytes reserved for what comes out
        self.offset = -1
        self.sink: memoryview | None = None
        self.waiting = False  # for the budget
        self.abandoned = False  # nobody wants it, but a thread is at work on it


class Inflation(Holder):
    """The stage of one service."""

    def __init__(
        self, codec: Codec, front: Front, threads: Threads, submit: Callable[[Ticket], None]
    ) -> None:
        """``submit``: where tickets go with their bodies inflated."""
        self._codec, self._front, self._threads, self._submit = codec, front, threads, submit
        self._jobs: dict[Ticket, _Job] = {}

    def __repr__(self) -> str:
        return f"<Inflation of {len(self._jobs)} bodies, {self._codec.name}>"

    def submit(self, ticket: Ticket) -> None:
        """The ticket's body is complete. No body (a GET for the signature) stays none."""
        body = ticket.body
        if not ticket.size or body is None:
            self._submit(ticket)
            return
        job = _Job(ticket)
        self._jobs[ticket] = job
        ticket.holder = self
        limit = self._front.max_body
        try:
            size = self._codec.size(body)
        except Broken as broken:
            self._refuse(job, self._broken(broken))
            return
        if size.certain and size.value > limit:
            self._refuse(job, BodyTooLarge(_TOO_LARGE))
            return
        self._reserve(job, min(limit, max(size.value, _LEAST) if size.value else _guess(ticket.size)))

    def withdraw(self, ticket: Ticket) -> bool:
        """See ``request.Holder``."""
        job = self._jobs[ticket]
        if job.waiting:
            del self._jobs[ticket]
            ticket.holder = None
            self._front.budget.forget(job)
        else:
            job.abandoned = True
        return True

    # -- one attempt

    def _reserve(self, job: _Job, capacity: int) -> None:
        job.capacity = capacity
        job.waiting = True
        if self._front.budget.take(job, capacity, partial(self._begin, job), held=job.ticket.size):
            self._begin(job)

    def _begin(self, job: _Job) -> None:
        """There is room for ``capacity`` bytes."""
        job.waiting = False
        ticket = job.ticket
        job.offset, job.sink = self._front.bodies.place(job.capacity)
        if ticket.size <= SMALL and job.capacity <= SMALL_RESULT:
            outcome = _attempt(self._codec, ticket.body, job.sink, QUICK)
            if not isinstance(outcome, Unfinished):
                self._done(job, outcome)
                return
        terms = Terms(gone=lambda: job.abandoned)
        attempt = partial(_attempt, self._codec, ticket.body, job.sink, terms)
        self._threads.run(attempt, partial(self._done, job))

    def _done(self, job: _Job, outcome: Any) -> None:
        """`outcome`: how many bytes came out, or what went wrong."""
        if job.abandoned:
            self._leave(job)
        elif isinstance(outcome, int):
            self._adopt(job, outcome)
        elif isinstance(outcome, TooSmall):
            self._grow(job, outcome.needed)
        elif isinstance(outcome, Broken):
            self._refuse(job, self._broken(outcome))
        else:
            self._refuse(job, Refusal(f"the body could not be inflated: {outcome!r}"))

    def _adopt(self, job: _Job, size: int) -> None:
        """It has become `size` bytes: the ticket's body from now on."""
        ticket, front, sink = job.ticket, self._front, job.sink
        if sink is None:
            return
        before, offset = ticket.size, ticket.offset
        del self._jobs[ticket]
        ticket.holder = None
        ticket.size = size
        if size < _SPILLS:  # in the heap, no larger than it must be
            ticket.body, ticket.offset = sink[:size].tobytes(), -1
            self._free(job.offset)
        else:
            ticket.body, ticket.offset = sink[:size], job.offset
        job.sink = None
        self._free(offset)
        front.counters.inflated_from += before
        front.counters.inflated_to += size
        front.budget.forget(job)
        front.budget.give(before + job.capacity - size)
        ticket.queued = monotonic()
        self._submit(ticket)

    def _grow(self, job: _Job, needed: int) -> None:
        limit = self._front.max_body
        if job.capacity >= limit or needed > limit:
            self._refuse(job, BodyTooLarge(_TOO_LARGE))
            return
        capacity = job.capacity
        self._give_sink(job)
        self._reserve(job, min(limit, needed or _FACTOR * capacity))

    # -- the end

    def _refuse(self, job: _Job, refusal: Refusal) -> None:
        ticket = job.ticket
        del self._jobs[ticket]
        ticket.holder = None
        self._front.budget.forget(job)
        self._give_sink(job)
        self._front.expire(ticket, refusal, monotonic())

    def _leave(self, job: _Job) -> None:
        """Its client has gone, or was answered 408, while a thread was at work on it."""
        ticket, front = job.ticket, self._front
        del self._jobs[ticket]
        ticket.holder = None
        front.budget.forget(job)
        self._give_sink(job)
        front.bodies.release(ticket)
        front.gate.leave(ticket)

    def _give_sink(self, job: _Job) -> None:
        job.sink = None
        self._free(job.offset)
        job.offset = -1
        capacity, job.capacity = job.capacity, 0
        if capacity:
            self._front.budget.give(capacity)

    def _free(self, offset: int) -> None:
        if offset >= 0:
            self._front.bodies.free(offset)

    def _broken(self, broken: Broken) -> BrokenBody:
        return BrokenBody(f"the body isn't what rpc.decompressor says ({self._codec.name}): {broken}")


def _guess(size: int) -> int:
    return max(_LEAST, _FACTOR * size)


def _attempt(codec: Codec, body: Any, sink: memoryview, terms: Terms) -> int | Exception:
    """In any thread: inflate `body` into `sink`."""
    if terms.gone():
        return Unfinished()
    try:
        return codec.inflate(body, sink, terms)
    except (Broken, TooSmall, Unfinished) as reason:
        return reason.with_traceback(None)  # it would keep the memory that it was about
