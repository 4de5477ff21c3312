"""The lanes of a data plane, as changes need them: implements ``joined.Lanes``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eas_engine.assembly import batch_rules
from eas_engine.telemetry.comparison import Comparison
from eas_engine.workers.lane import Beside, Canary, Shadow

if TYPE_CHECKING:
    from eas_engine.configuration import Configured
    from eas_engine.operations import Update
    from eas_engine.plane import Plane


class PlaneLanes:
    """Those of one service."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def __repr__(self) -> str:
        return f"<PlaneLanes of {self._plane.lanes!r}>"

    def open_beside(self, release: int, configured: Configured) -> bool:
        """See ``Lanes``: hosts that batch and hosts that don't can't take from one line."""
        rules = batch_rules(configured)
        if (rules is None) == (self._plane.lanes.main.batching is None):
            return False
        self._plane.open_lane(release, Beside(), rules)
        return True

    def open_trial(self, release: int, configured: Configured, asked: Update) -> None:
        """See ``Lanes``."""
        kind = Canary(asked.canary) if asked.canary else Shadow(asked.shadow or 0.0)
        self._plane.open_lane(release, kind, batch_rules(configured))

    def merge(self, release: int) -> None:
        """See ``Lanes``."""
        self._plane.merge_lane(release)

    def close(self, release: int) -> None:
        """See ``Lanes``."""
        self._plane.close_lane(release)

    def broken(self, release: int, objective: str) -> str:
        """See ``Lanes``."""
        comparison = self._plane.comparison(release)
        if not isinstance(comparison, Comparison):
            return ""
        from eas_engine.objective import Broken, parse, verdict  # noqa: PLC0415 - only canaries have one

        found = verdict(comparison, parse(objective))
        return found.reason if isinstance(found, Broken) else ""

    def pause(self) -> None:
        """See ``Lanes``."""
        self._plane.pause(paused=True)

    def resume(self) -> None:
        """See ``Lanes``."""
        self._plane.pause(paused=False)

    async def wait_empty(self) -> None:
        """See ``Lanes``."""
        await self._plane.wait_empty()
