"""The placer of a machine whose engines share it: decides with ``assign``, remembers in the ``ledger``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from eas_engine.errors import ConfigurationError
from eas_engine.spec.engine.pools import Pool, Pools, pools_of
from eas_engine.spec.load import Loaded
from eas_engine.supervisor.place import Limits, NoPlace, Place, Spread, Wishes
from eas_engine.supervisor.pools.assign import Request, assign
from eas_engine.supervisor.pools.claims import Claim, thousandths
from eas_engine.supervisor.pools.ledger import Busy, Ledger


class LedgerPlacer:
    """Places the instances of one service. Its engine must hold the state directory's lock.

    It waits for the disk, and for other engines; an engine that serves asks by ``placing``. One call at a
    time; ``claims`` may be read meanwhile. Instances that have a place keep it, whatever is wished for later.

    ``shared`` is told of the cards that instances have a percentage of, before any of them is executed, and
    after the last one's end.
    """

    def __init__(
        self, pools: Pools, ledger: Ledger, shared: Callable[[Collection[str]], None] | None = None
    ) -> None:
        self.pools = self._whole = pools
        self._lost: tuple[str, ...] = ()
        self._shared = shared
        self._ledger = ledger
        self._claims: Mapping[str, Claim] = {}  # replaced, never changed
        self._outdated = False  # the ledger says that the service has more than it has

    @classmethod
    def of(
        cls,
        loaded: Loaded,
        root: Path,
        *,
        pause: Callable[[float], None] | None = None,
        shared: Callable[[Collection[str]], None] | None = None,
    ) -> Self:
        """The placer of a service that was read. Errors: ConfigurationError."""
        spec = loaded.spec
        ledger = Ledger(root, spec.name, spec.metadata.workspace_id, pause=pause)
        placer = cls(pools_of(loaded.machine), ledger, shared)
        with contextlib.suppress(Busy):  # then the first place writes what holds
            placer.clear()
        return placer

    def __repr__(self) -> str:
        return f"LedgerPlacer({self._ledger!r}, {len(self._claims)} placed)"

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the service has, in the order in which it was placed."""
        return tuple(self._claims.values())

    def choices(self, wishes: Wishes) -> tuple[Pool, ...]:
        """The pools that an instance may be in, best first."""
        return self.pools.choices(wishes.resource, rebalancing=wishes.rebalancing)

    def clear(self) -> None:
        """Forget what an engine before this one, which was killed, had for the service.

        Errors: ConfigurationError.
        """
        self._claims = {}
        with self._ledger.held():
            self._write()

    def place(
        self, instance: str, limits: Limits, wishes: Wishes, choices: Sequence[Pool] | None = None
    ) -> Place | NoPlace:
        """A place for the instance; the one that it has when it has one.

        ``choices``: in some of the pools alone that it may be in.
        """
        had = self._claims.get(instance)
        if had is not None:
            return _place(had)
        allowed = self.choices(wishes) if choices is None else choices
        request = self._request(instance, limits, allowed, wishes.spread)
        try:
            with self._ledger.held():
                found = assign(request, self.pools, [*self._ledger.others(), *self._claims.values()])
                if isinstance(found, NoPlace):
                    return found
                before, self._claims = self._claims, {**self._claims, instance: found}
                try:
                    self._write()
                except ConfigurationError:  # the disk is full, say
                    if _counts(found):
                        self._claims = before  # what others don't know of isn't ours
                        raise
                    self._outdated = True
        except ConfigurationError as error:
            return NoPlace(str(error))
        self._tell_shared()
        return _place(found)

    def leave(self, instance: str) -> None:
        """It has its place no more. If the ledger can't be written now, it is with the next change."""
        left = {name: claim for name, claim in self._claims.items() if name != instance}
        if len(left) == len(self._claims) and not self._outdated:
            return
        self._claims = left
        self._write_sometime()
        self._tell_shared()

    def lose(self, card: str) -> tuple[str, ...]:
        """That card (or slice) is gone, with its slices; who had it has no place any more: their names."""
        gone = self.pools.cards.keys() - self.pools.without(card).cards.keys()
        self._lost = (*self._lost, card)
        self.pools = self.pools.without(card)
        without = tuple(name for name, one in self._claims.items() if not gone.isdisjoint(one.cards))
        if without:
            self._claims = {name: one for name, one in self._claims.items() if name not in without}
            self._write_sometime()
            self._tell_shared()
        return without

    def regain(self, card: str) -> None:
        """That card (or slice) isn't gone any more: it is given to instances again, with its slices."""
        self._lost = tuple(one for one in self._lost if one != card)
        pools = self._whole
        for lost in self._lost:
            pools = pools.without(lost)
        self.pools = pools

    def rename(self, before: str, instance: str) -> None:
        """What one instance has is another one's from now on."""
        claims = {**self._claims}
        claim = claims.pop(before)
        self._claims = {**claims, instance: replace(claim, instance=instance)}
        self._write_sometime()

    def _tell_shared(self) -> None:
        if self._shared is not None:
            self._shared({one.cards[0]: None for one in self._claims.values() if one.gpu_percent}.keys())

    def _write_sometime(self) -> None:
        self._outdated = True
        with contextlib.suppress(ConfigurationError):
            self._write()

    def _write(self) -> None:
        self._ledger.write(self.claims)
        self._outdated = False

    def _request(self, instance: str, limits: Limits, choices: Sequence[Pool], spread: Spread) -> Request:
        cpu = 0 if limits.cpu is None or limits.best_effort else thousandths(limits.cpu)
        return Request(
            instance=instance,
            service=self._ledger.service,
            workspace=self._ledger.workspace,
            choices=tuple(choices),
            spread=spread,
            cpu=cpu,
            memory=limits.memory or 0,
            gpus=limits.gpus,
            gpu_memory=limits.gpu_memory or 0,
            gpu_percent=limits.gpu_percent or 0,
        )


def _counts(claim: Claim) -> bool:
    """Whether others must know of it."""
    return bool(claim.cpu or claim.memory or claim.alone or claim.cards)


def _place(claim: Claim) -> Place:
    return Place(cpus=claim.cpus, group=claim.group, node=claim.node, cards=claim.cards)
