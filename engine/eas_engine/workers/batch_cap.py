"""How many requests a batch of one instance may have, after its GPU's memory was too small for more. Pure.

* Too many of them: half as many from now on.
* Enough room, and the batch was as large as it may be: after ``patience`` of these in a row a quarter more is
  tried, at least one. If that was too much, what did before holds again, and the next try comes later: after
  twice as many batches, up to ``MOST_PATIENT``.
* As many as make a full batch, and so many of these did: there is no cap any more.

A cap belongs to one instance, and to one process of it: others may have more room, and a new one has all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PATIENT: Final = 16
MOST_PATIENT: Final = 1024
_PART: Final = 4


@dataclass(frozen=True)
class Cap:
    """What an instance has learnt.

    Attributes:
        requests: that a batch may have.
        patience: batches of that size that must do before more is tried.
        good: how many have done since the cap changed last.
        before: what did before more was tried; 0: this is what was halved.
    """

    requests: int
    patience: int = PATIENT
    good: int = 0
    before: int = 0


def after(cap: Cap | None, requests: int, too_large: int, full: int) -> Cap | None:
    """What is so after one more batch; None: no cap.

    Args:
        cap: what was so before it.
        requests: that it had.
        too_large: so many were too many for the memory; 0: none were.
        full: requests that make a full batch.
    """
    if too_large:
        if cap is None:
            return Cap(max(1, too_large // 2))
        if too_large > cap.before > 0:
            return Cap(cap.before, min(2 * cap.patience, MOST_PATIENT))
        return Cap(max(1, min(too_large, cap.requests) // 2), cap.patience)
    if cap is None or requests < min(cap.requests, full):  # says nothing about larger ones
        return cap
    if cap.good + 1 < cap.patience:
        return Cap(cap.requests, cap.patience, cap.good + 1, cap.before)
    if cap.requests >= full:
        return None
    more = min(full, cap.requests + max(1, cap.requests // _PART))
    return Cap(more, cap.patience, before=cap.requests)
