"""Who reads the link? One thread at a time, and the role can be taken from it while it is elsewhere.

A reader that finds work may keep the role while it does that work, which saves waking another thread: it
*lends* the role. As long as it is lent, anybody may *revoke* it, so that another thread can read; the reader
learns of that when it tries to *regain* it. Lending, revoking and regaining are one append or pop of a list
each, which is atomic (without a GIL, too: a list has a lock of its own), so exactly one of revoke and regain
succeeds.
"""

from __future__ import annotations

import threading
from typing import List

Hold = List[None]
"""What a thread has that holds the role: one element while the role is lent, empty otherwise."""


class Role:
    """The role of reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hold: Hold = []

    def __repr__(self) -> str:
        state = "lent" if self._hold else "held" if self._lock.locked() else "free"
        return f"<Role {state}>"

    @property
    def lent(self) -> bool:
        """Whether a reader keeps the role while it works."""
        return bool(self._hold)

    def acquire(self) -> Hold:
        """Wait for the role."""
        self._lock.acquire()
        hold = self._hold = []
        return hold

    def release(self) -> None:
        """Give up a role that isn't lent."""
        self._lock.release()

    def lend(self, hold: Hold) -> None:
        """Keep the role, but let others revoke it."""
        hold.append(None)

    def regain(self, hold: Hold) -> bool:
        """Have the role for oneself again; False: it was revoked."""
        try:
            hold.pop()
        except IndexError:
            return False
        return True

    def revoke(self) -> None:
        """Take the role away from a reader that has lent it."""
        if self.regain(self._hold):
            self._lock.release()
