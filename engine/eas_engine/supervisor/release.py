"""What hosts are started from, and how one release takes the place of another. Values and arithmetic only.

A *version* is a configuration that was accepted; a *release* is what processes are made from. A new release
is needed only when processes must be replaced, so many versions may share one.
"""

from __future__ import annotations

from typing import Final, Literal

from eas_engine.records import dataclass
from eas_engine.supervisor.settings import Settings


@dataclass(frozen=True, slots=True)
class Release:
    """What a host is started from. Every host carries one.

    Attributes:
        number: one more with each release.
        version: of the configuration, for people.
        settings: of its hosts.
    """

    number: int
    version: int
    settings: Settings

    def instance(self, number: int) -> str:
        """The name of the instance in the seat of this number."""
        return f"{self.settings.service}-{number}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the number of instances may be from the wanted one while a release takes another's place.

    Attributes:
        surge: instances above it, those that are leaving included.
        unavailable: instances that may be missing among the ready ones.
    """

    surge: int
    unavailable: int


ONE_MORE: Final = Bounds(1, 0)
"""The smallest that let anything change, and never fewer are ready than before."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a release takes the place of another (``metadata.rolling_strategy``).

    Raises ``ValueError`` for what is neither a number nor a percentage, or out of range.

    Attributes:
        max_surge: instances above the wanted number: a number, or a percentage such as ``"25%"``.
        max_unavailable: instances that may be missing; likewise, at most 100 %.
        timeout: seconds after which an unfinished rollout goes back (``metadata.rollout_timeout``).
    """

    max_surge: int | str = "2%"
    max_unavailable: int | str = 0
    timeout: float = 300.0

    def __post_init__(self) -> None:
        _share("max_surge", self.max_surge)
        if _share("max_unavailable", self.max_unavailable) > 100 and isinstance(self.max_unavailable, str):
            raise ValueError(f'max_unavailable is "{self.max_unavailable}": expected at most 100%')
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}: expected more than 0 seconds")

    def bounds(self, wanted: int) -> Bounds:
        """Kubernetes' arithmetic: both at once, surge rounded up, unavailable down; one of them is not 0.

        Where both come out as 0 nothing could ever change. Kubernetes then lets one instance be missing,
        because another might not fit; here a surge of 1 keeps the promise of the 0, and an instance that
        fits nowhere says so.
        """
        surge, unavailable = (
            -(-_share("max_surge", self.max_surge) * wanted // 100)
            if isinstance(self.max_surge, str)
            else self.max_surge,
            _share("max_unavailable", self.max_unavailable) * wanted // 100
            if isinstance(self.max_unavailable, str)
            else self.max_unavailable,
        )
        return Bounds(surge, unavailable) if surge or unavailable else ONE_MORE


def _share(name: str, given: int | str) -> int:
    """The number of a number or percentage. Raises ``ValueError``."""
    text = given.removesuffix("%") if isinstance(given, str) and given.endswith("%") else str(given)
    if isinstance(given, bool) or not (text.isascii() and text.isdigit()) or text == given:
        raise ValueError(f'{name} is {given!r}: expected a number like 1, or a percentage like "25%"')
    return int(text)


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """A rollout, as it is told.

    Attributes:
        release: number of the release that is rolled out.
        version: its version.
        source: number of the release that ran before, to which it goes back.
        source_version: its version.
        state: ``rolling``; ``done``: every instance is of it, and ready; ``rolled_back``; ``superseded``: by
            another rollout.
        reason: why it was rolled back; while it is rolling, what it waits for; else empty.
        lines: what the instance that failed printed last, for ``rolled_back``.
        started: seconds since the epoch.
        ended: likewise; None while it is rolling.
        wanted: instances that are wanted.
        updated: instances of the release.
        ready: of them, those that are ready.
        old: instances of other releases that haven't left yet.
    """

    release: int
    version: int
    source: int
    source_version: int
    state: Literal["rolling", "done", "rolled_back", "superseded"]
    reason: str = ""
    lines: tuple[str, ...] = ()
    started: float = 0.0
    ended: float | None = None
    wanted: int = 0
    updated: int = 0
    ready: int = 0
    old: int = 0


@dataclass(frozen=True, slots=True)
class TrialStatus:
    """A release that is tried out beside the running one, as it is told.

    Attributes:
        release: its number.
        version: its version.
        state: ``trying``; ``promoted``: its rollout has begun; ``dismissed``: its instances leave.
        reason: why it was dismissed; else empty.
        lines: what the instance that failed printed last, for ``dismissed``.
        started: seconds since the epoch.
        ended: likewise; None while it is tried out.
        wanted: instances of it that are wanted.
        ready: of them, those that are ready.
    """

    release: int
    version: int
    state: Literal["trying", "promoted", "dismissed"]
    reason: str = ""
    lines: tuple[str, ...] = ()
    started: float = 0.0
    ended: float | None = None
    wanted: int = 0
    ready: int = 0
