"""Holds the instances of an engine within their limits: by control groups where it may, else as it can."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eas_engine.spec.cgroups import Cgroups
from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.limits import groups, scratch
from eas_engine.supervisor.limits.affinity import Cpus
from eas_engine.supervisor.limits.control_files import Files
from eas_engine.supervisor.limits.lodging import Lodging, Stay
from eas_engine.supervisor.limits.report import Used
from eas_engine.supervisor.limits.rounds import Rounds
from eas_engine.supervisor.limits.sweeper import Sweeper
from eas_engine.supervisor.place import Needs, Quarters

if TYPE_CHECKING:
    from eas_engine.supervisor.gpu.share import Cards

_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_-]")


class Enforcer:
    """One engine's. Made in the thread of the loop; ``close`` is for another thread, or the loop's end.

    Args:
        service: its name.
        directory: where scratch directories are made; what a killed engine left there is deleted.
        cgroups: which there are.
        warn: told what should not happen: an event and its fields.
        kernel: the files of control groups; tests have others.
        cards: of the machine; None: it has none.
    """

    def __init__(
        self,
        service: str,
        directory: Path,
        cgroups: Cgroups,
        *,
        warn: Callable[..., None],
        kernel: Files | None = None,
        cards: Cards | None = None,
    ) -> None:
        self._cards = cards
        self.cpus = Cpus(os.sched_getaffinity(0))
        self._directory = directory
        self._workspaces: dict[Path | None, scratch.Workspace] = {}
        self._warn = warn
        self._serial = 0
        self._lodgings: dict[str, Lodging] = {}
        self._memory = Rounds("memory of instances", self._failed)
        self._disk = Rounds("scratch of instances", self._failed)
        self._gpus = Rounds("GPU memory of instances", self._failed)
        self._sweeper = Sweeper(self._failed)
        scratch.clear(directory)
        self._group = groups.EngineGroup(cgroups, _UNUSUAL.sub("-", service), kernel)
        self._sweeper.do(lambda: groups.tidy(cgroups.bases, kernel))

    def __repr__(self) -> str:
        return f"<Enforcer {self._group!r}: {len(self._lodgings)} instances>"

    def stay(
        self, quarters: Quarters, condemn: Callable[[Condemned], None], needs: Needs | None = None
    ) -> Stay:
        """A place for one more host of the instance, which is about to be executed. Errors: ``OSError``.

        ``condemn`` is called on the running loop when the host can't go on.
        """
        lodging = self._lodgings.get(quarters.instance)
        if lodging is None:
            lodging = self._lodgings[quarters.instance] = self._lodge(quarters, needs or Needs())
        return lodging.admit(condemn)

    def usage(self, instance: str) -> Used | None:
        """What an instance uses now; None when it isn't there. From any thread."""
        lodging = self._lodgings.get(instance)
        return None if lodging is None else lodging.used()

    def close(self) -> None:
        """All hosts are dead: remove what was made for them. Waits for what is still dying. Idempotent."""
        self._memory.close()
        self._disk.close()
        self._gpus.close()
        self._sweeper.close()
        self._group.close()
        if self._directory.exists():
            scratch.clear(self._directory)

    # -- for lodgings (lodging.House)

    def now(self) -> float:
        """See ``House``."""
        return time.monotonic()

    def sweep(self, job: Callable[[], bool]) -> None:
        """See ``House``."""
        self._sweeper.do(job)

    def vacate(self, lodging: Lodging) -> None:
        """See ``House``."""
        self._memory.remove(lodging.look_at_memory)
        self._disk.remove(lodging.look_at_scratch)
        self._gpus.remove(lodging.look_at_cards)
        if self._lodgings.get(lodging.quarters.instance) is lodging:
            del self._lodgings[lodging.quarters.instance]
        lodging.workspace.tenants -= 1
        self._sweeper.do(lambda: _sweep(lodging))

    def _lodge(self, quarters: Quarters, needs: Needs) -> Lodging:
        self._serial += 1
        name = f"{_UNUSUAL.sub('-', quarters.instance)}.{self._serial}"
        directory = None
        if quarters.limits.scratch is not None:
            directory = scratch.make(self._directory, name)
        group = self._group.instance(name, quarters.limits)
        workspace = self._workspaces.setdefault(needs.workspace, scratch.Workspace(needs.workspace))
        workspace.tenants += 1
        hidden = scratch.in_the_way([str(self._directory), *needs.paths])
        share = self._cards.share(quarters) if self._cards is not None else None
        lodging = Lodging(self, quarters, group, workspace, share=share, directory=directory, hidden=hidden)
        if share is not None and share.watched:
            self._gpus.add(lodging.look_at_cards)
        if quarters.limits.memory is not None:
            self._memory.add(lodging.look_at_memory)
        if directory is not None:
            self._disk.add(lodging.look_at_scratch)
        return lodging

    def _failed(self, error: Exception) -> None:
        self._warn("limits_not_looked_at", error=repr(error))


def _sweep(lodging: Lodging) -> bool:
    lodging.group.kill()
    if lodging.directory is not None:
        scratch.clear(lodging.directory)
    return lodging.group.remove()
