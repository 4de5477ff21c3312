"""What went wrong with a transfer, whether trying again may help, and when.

A failure is retried with growing pauses. How often is counted since the last real progress, so that a link
that breaks every gigabyte still brings a large model; what came wrong or was changed on the way is counted
for itself, because it brings any number of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eas_engine.records import dataclass

PROGRESS: Final = 1 << 20  # bytes since the last failure that count as real progress
LONGEST_WAIT: Final = 300.0  # seconds that a server may ask to wait by Retry-After


class TransferError(Exception):
    """One attempt failed. The message is for a person and shows no secret.

    ``again``: another attempt may help. ``answered``: it was the server's word; when it wasn't (no
    connection, 5xx), a copy in the cache may serve. ``after``: seconds that the server asks to wait.
    ``spoilt``: bytes came, and they were wrong or of something else. ``status`` is HTTP's, 0 without one.
    """

    def __init__(
        self,
        message: str,
        *,
        again: bool,
        answered: bool = False,
        after: float | None = None,
        spoilt: bool = False,
        status: int = 0,
    ) -> None:
        super().__init__(message)
        self.again, self.answered, self.after, self.spoilt = again, answered, after, spoilt
        self.status = status


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a transfer is; pauses in seconds."""

    tries: int = 6
    """Attempts without real progress between them."""
    spoilt_tries: int = 3
    """Attempts that may end with wrong bytes."""
    first: float = 0.5
    longest: float = 20.0

    def pause(self, failures: int, chance: float) -> float:
        """Before the next attempt, after so many failures in a row; ``chance`` is from 0 to 1."""
        full = min(self.longest, self.first * 2.0 ** (failures - 1))
        return full * (0.5 + chance / 2)


QUICK: Final = Policy(tries=2)
"""For asking whether a copy in the cache is still right: an engine that is offline shouldn't wait long."""


@dataclass(slots=True)
class Attempts:
    """The attempts of one transfer."""

    policy: Policy
    chance: Callable[[], float]
    failures: int = 0
    spoilt: int = 0

    def failed(self, error: TransferError, progress: int) -> float | None:
        """Seconds to wait before the next attempt; None: give up. ``progress``: bytes since the last one."""
        if not error.again or (error.after or 0.0) > LONGEST_WAIT:
            return None
        if error.spoilt:
            self.spoilt += 1
            if self.spoilt >= self.policy.spoilt_tries:
                return None
        elif progress >= PROGRESS:
            self.failures = 0
        self.failures += 1
        if self.failures >= self.policy.tries:
            return None
        return max(error.after or 0.0, self.policy.pause(self.failures, self.chance()))
