"""A shadow's host on its way into another lane: it must be empty first.

What is inside are copies, which belong to another gate and another budget. They can't be moved, so the host
gets nothing until the last of them is done, and then it begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eas_engine.errors import InstanceCrashed, Refusal
    from eas_engine.request import Ticket
    from eas_engine.workers.link import Link
    from eas_engine.workers.pool import Pool


class Emptying:
    """What the link takes for its pool meanwhile (``link.Pull``)."""

    def __init__(self, link: Link, pool: Pool, empty: Callable[[Link], None]) -> None:
        """``pool``: the shadow's, which has the link until ``empty`` is called with it."""
        self._link, self._pool, self._empty = link, pool, empty

    def __repr__(self) -> str:
        return f"<Emptying of {self._link!r}>"

    def begin(self) -> None:
        """From now on the host gets nothing; what wasn't begun comes back."""
        link = self._link
        link.reserve(self)
        self.pull(link)

    def opened(self, link: Link) -> None:
        """Never: a host that isn't ready is empty."""

    def pull(self, link: Link) -> None:
        """The host gave something back, or is leaving."""
        if link.count:
            return
        self._pool.remove(link)
        self._empty(link)

    def remove(self, link: Link) -> None:
        """The host is gone."""
        self._pool.remove(link)

    def returned(self, tickets: Iterable[Ticket]) -> None:
        """Handed out, but never begun."""
        self._pool.returned(tickets)

    def lost(self, begun: list[Ticket], crash: InstanceCrashed) -> Refusal:
        """The host died."""
        return crash
