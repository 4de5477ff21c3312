"""The placer of a machine whose engines share it: decides with ``assign``, remembers in the ``ledger``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass
from eas_engine.spec.engine.pools import Pool, Pools, pools_of
from eas_engine.spec.load import Loaded
from eas_engine.spec.model import ServiceSpec
from eas_engine.supervisor.place import Limits, NoPlace, Place
from eas_engine.supervisor.pools.assign import Request, Spread, assign
from eas_engine.supervisor.pools.claims import Claim, thousandths
from eas_engine.supervisor.pools.ledger import Busy, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Where a service wants its instances: ``metadata.resource`` and what goes with it."""

    resource: str = ""
    spread: Spread = "default"
    rebalancing: bool = False

    @classmethod
    def of(cls, spec: ServiceSpec) -> Self:
        """Those of a configuration."""
        metadata = spec.metadata
        return cls(
            resource=metadata.resource,
            spread=metadata.scheduling.spread.policy,
            rebalancing=metadata.resource_rebalancing,
        )


class LedgerPlacer:
    """Implements ``place.Placer`` for one service. Its engine must hold the state directory's lock.

    ``wishes`` are those of the configuration in effect; instances that have a place keep it when they change.
    """

    def __init__(self, pools: Pools, ledger: Ledger, wishes: Wishes) -> None:
        self.pools = pools
        self.wishes = wishes
        self._ledger = ledger
        self._claims: dict[str, Claim] = {}
        self._outdated = False  # the ledger says that the service has more than it has

    @classmethod
    def of(cls, loaded: Loaded, root: Path, *, pause: Callable[[float], None] | None = None) -> Self:
        """The placer of a service that was read. Errors: ConfigurationError."""
        spec = loaded.spec
        ledger = Ledger(root, spec.name, spec.metadata.workspace_id, pause=pause)
        placer = cls(pools_of(loaded.machine), ledger, Wishes.of(spec))
        with contextlib.suppress(Busy):  # then the first place writes what holds
            placer.clear()
        return placer

    def __repr__(self) -> str:
        return f"LedgerPlacer({self._ledger!r}, {len(self._claims)} placed)"

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the service has, in the order in which it was placed."""
        return tuple(self._claims.values())

    @property
    def choices(self) -> tuple[Pool, ...]:
        """The pools that the service's instances may be in, best first."""
        return self.pools.choices(self.wishes.resource, rebalancing=self.wishes.rebalancing)

    def clear(self) -> None:
        """Forget what an engine before this one, which was killed, had for the service.

        Errors: ConfigurationError.
        """
        self._claims.clear()
        with self._ledger.held():
            self._write()

    def place(self, instance: str, limits: Limits) -> Place | NoPlace:
        """See ``Placer``."""
        return self.place_in(instance, limits, self.choices)

    def place_in(self, instance: str, limits: Limits, choices: Sequence[Pool]) -> Place | NoPlace:
        """The same in some pools alone: a ``place`` that follows finds the instance placed."""
        had = self._claims.get(instance)
        if had is not None:
            return _place(had)
        request = self._request(instance, limits, choices)
        try:
            with self._ledger.held():
                found = assign(request, self.pools, [*self._ledger.others(), *self._claims.values()])
                if isinstance(found, NoPlace):
                    return found
                self._claims[instance] = found
                try:
                    self._write()
                except ConfigurationError:  # the disk is full, say
                    if _counts(found):
                        del self._claims[instance]  # what others don't know of isn't ours
                        raise
                    self._outdated = True
        except ConfigurationError as error:
            return NoPlace(str(error))
        return _place(found)

    def leave(self, instance: str) -> None:
        """See ``Placer``. If the ledger can't be written now, it is with the next change."""
        if self._claims.pop(instance, None) is None and not self._outdated:
            return
        self._outdated = True
        with contextlib.suppress(ConfigurationError):
            self._write()

    def _write(self) -> None:
        self._ledger.write(self.claims)
        self._outdated = False

    def _request(self, instance: str, limits: Limits, choices: Sequence[Pool]) -> Request:
        cpu = 0 if limits.cpu is None or limits.best_effort else thousandths(limits.cpu)
        return Request(
            instance=instance,
            service=self._ledger.service,
            workspace=self._ledger.workspace,
            choices=tuple(choices),
            spread=self.wishes.spread,
            cpu=cpu,
            memory=limits.memory or 0,
        )


def _counts(claim: Claim) -> bool:
    """Whether others must know of it."""
    return bool(claim.cpu or claim.memory or claim.alone)


def _place(claim: Claim) -> Place:
    return Place(cpus=claim.cpus, group=claim.group, node=claim.node)
