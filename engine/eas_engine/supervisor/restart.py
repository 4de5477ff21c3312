"""When a host that died is started again, and when the engine gives up. Pure: values in, values out.

* Back-off after the n-th death in a row: 0, 1, 1, 2, 3, 5, 8 ... 60 s. A host that was ready for 60 s before
  it died begins anew (``runtime.enable_crash_block`` in the parameter reference).
* While no instance was ever ready since the engine started: a processor that *refuses* (it can't be executed,
  imported or constructed, or ``initialize`` raised) ends the engine at once, and so does the third failed
  start of any one host. Once an instance has been ready, the engine tries for ever.
* The release that a rollout brings, or that is tried out, *fails* under the same conditions, whatever was
  ready before, and if a host of it is blocked without having been ready, for no other try would follow: then
  the engine goes back to the release that ran.
* There is no start timeout: loading a large model may take many minutes, and the only one who could tell a
  slow start from a hanging one is whoever wrote the processor.
"""

from __future__ import annotations

from eas_engine.records import dataclass

BACK_OFF = (0.0, 1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 60.0)
"""Seconds from a death to the next start, by the number of deaths in a row; the last one for all further."""

HEALTHY_AFTER = 60.0
"""Seconds of being ready after which earlier deaths are forgotten."""

FAILED_STARTS = 3
"""So many failed starts of one host end a rollout, or an engine in which nothing was ever ready."""


@dataclass(frozen=True, slots=True)
class Deaths:
    """What the policy has to remember about one host."""

    in_a_row: int = 0
    failed_starts: int = 0
    """Deaths before being ready since the host was last ready."""

    def after(self, ready_for: float | None) -> Deaths:
        """One death more. ``ready_for``: seconds between ready and death, None if it never got ready."""
        if ready_for is None:
            return Deaths(self.in_a_row + 1, self.failed_starts + 1)
        if ready_for >= HEALTHY_AFTER:
            return Deaths(1, 0)
        return Deaths(self.in_a_row + 1, 0)

    @property
    def back_off(self) -> float:
        """Seconds from the last death to the next start; 0 without a death."""
        if self.in_a_row == 0:
            return 0.0
        return BACK_OFF[min(self.in_a_row, len(BACK_OFF)) - 1]


def gives_up(*, ever_ready: bool, refused: bool, failed_starts: int) -> bool:
    """Whether this host's failure ends the engine (exit 4)."""
    return not ever_ready and fails(refused=refused, failed_starts=failed_starts)


def fails(*, refused: bool, failed_starts: int, blocked: bool = False) -> bool:
    """Whether a crashed host tells enough of its release: it can't be started."""
    return refused or failed_starts >= FAILED_STARTS or (blocked and failed_starts > 0)
