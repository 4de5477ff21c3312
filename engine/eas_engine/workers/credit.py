"""How many requests may be inside one host? Pure arithmetic over what its answers said.

As many as it has worker threads; and, only while the processor is fast, a few *ahead*: so many as fit into
``AHEAD_SECONDS`` of work, at most ``MOST_AHEAD``. They let both processes write and read many messages with
one system call, which is what makes small requests cheap. One slow answer takes the credit away at once.

A host that is the only one has a request ahead however slow it is: nobody else could begin it sooner, and
a thread that becomes free would wait meanwhile, from its answer on its way to the engine to the next request
on its way back.
"""

from __future__ import annotations

from typing import Final

AHEAD_SECONDS: Final = 300e-6
MOST_AHEAD: Final = 32
_SLOW_US: Final = 1000
_WEIGHT: Final = 0.1


class Credit:
    """The allowance of one host; ``limit`` is the number to compare with."""

    __slots__ = ("average_us", "limit", "spare", "threads")

    def __init__(self, threads: int, *, alone: bool = False) -> None:
        self.threads = threads
        self.average_us = float(_SLOW_US)
        self.be_alone(alone=alone)

    def __repr__(self) -> str:
        return f"<Credit {self.limit} for {self.threads} threads, {self.average_us:.0f} us a request>"

    def be_alone(self, *, alone: bool) -> None:
        """Whether this host is the only one from now on; what it may have ahead is learnt anew."""
        self.spare = int(alone)
        self.limit = self.threads

    def learn(self, count: int, total_us: int, longest_us: int) -> None:
        """`count` answers came that took `total_us` together and the longest of them `longest_us`."""
        if longest_us >= _SLOW_US:
            self.average_us = float(_SLOW_US)
            self.limit = self.threads + self.spare
            return
        weight = min(1.0, _WEIGHT * count)
        self.average_us += (total_us / count - self.average_us) * weight
        ahead = int(AHEAD_SECONDS * 1e6 / self.average_us) if self.average_us > 1.0 else MOST_AHEAD
        self.limit = self.threads + max(self.spare, min(MOST_AHEAD, ahead))
