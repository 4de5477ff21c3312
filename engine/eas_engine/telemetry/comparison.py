"""How a version that is being tried out does beside the one that serves: plain values, as they are shown."""

from __future__ import annotations

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Requests that went one of two ways.

    Attributes:
        requests: that were answered; whoever left before that isn't among them.
        errors: answers with a status of 500 or more, and those that the engine made because the instance gave
            none: 408, 500 of a crash. So do those that were tried again elsewhere (``rpc.retry_on_crash``).
        rejected: the processor's own answers with a status of 400 to 499, its exceptions among them.
        measured: of how many the latencies are known.
        p50: seconds; 0 while ``measured`` is.
        p99: seconds.
    """

    requests: int = 0
    errors: int = 0
    rejected: int = 0
    measured: int = 0
    p50: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A canary and the rest of its service since it began.

    Attributes:
        seconds: since then.
        canary: requests that its instances answered, or should have.
        others: all others. Their latencies are those of a sample as large as the canary's.
        overflowed: requests whose turn it was and which went the usual way, because too many waited for it.
    """

    seconds: float
    canary: Side
    others: Side
    overflowed: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """Two answers to one request.

    Attributes:
        request_id: as the client's answer had it.
        service: the status that the client got.
        shadow: that of the copy.
        offset: of the first byte that differs; the length of the shorter body where one is the other's
            beginning, -1 where the bodies are the same.
    """

    request_id: str
    service: int
    shadow: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowComparison:
    """A shadow's answers beside the clients'.

    Attributes:
        seconds: since it began.
        copies: that were handed to it, or wait for it.
        same: with the same status and the same bytes.
        different: without.
        failed: copies that got no answer of the processor's: too late, or the instance died.
        unmatched: copies that have an answer whose request has none of the processor's: not yet, or never,
            because it was too late or its client left.
        skipped: requests that were not copied, or whose copies were dropped: no instance was ready, too many
            copies waited, the body was too large.
        differences: the first few.
    """

    seconds: float
    copies: int = 0
    same: int = 0
    different: int = 0
    failed: int = 0
    unmatched: int = 0
    skipped: int = 0
    differences: tuple[Difference, ...] = ()
