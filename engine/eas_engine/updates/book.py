"""The operations of an engine: what is under way and what was, as anybody may read it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from eas_engine.artifacts.sources.stopping import Stop
from eas_engine.operations import Effect, Operation, OperationKind, OperationState
from eas_engine.supervisor.lifecycle import State

if TYPE_CHECKING:
    from eas_engine.clock import Clock
    from eas_engine.supervisor.observe import FleetSnapshot

REMEMBERED: Final = 100


class Entry:
    """One operation. ``record`` is immutable and replaced; ``stop`` ends its preparations."""

    def __init__(self, record: Operation, clock: Clock) -> None:
        self.record = record
        self.stop = Stop()
        self.release: int | None = None
        """That it rolls out; None: whatever the instances are of."""
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Entry {self.record.number} {self.record.kind} {self.record.state.value}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.record.state.is_over

    def change(self, **fields: Any) -> None:
        """It is otherwise now; one that is over stays as it is."""
        if not self.is_over:
            self.record = replace(self.record, **fields)

    def end(self, state: OperationState, reason: str = "") -> None:
        """It is over. Only the first end counts."""
        self.change(state=state, reason=reason, ended=self._clock.wall(), fetching={})


class Book:
    """All of them, oldest first; the last ``REMEMBERED``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=REMEMBERED)
        self._number = 0

    def __repr__(self) -> str:
        return f"<Book {self.open()!r}>"

    def begin(
        self,
        kind: OperationKind,
        by: str,
        *,
        state: OperationState = OperationState.ROLLING,
        effect: Effect = Effect.NOTHING,
        version: int | None = None,
    ) -> Entry:
        """Another one."""
        self._number += 1
        entry = Entry(
            Operation(
                number=self._number,
                kind=kind,
                by=by,
                state=state,
                effect=effect,
                version=version,
                started=self._clock.wall(),
            ),
            self._clock,
        )
        self._entries.append(entry)
        return entry

    def open(self) -> list[Entry]:
        """Those that aren't over."""
        return [entry for entry in self._entries if not entry.is_over]

    def records(self) -> tuple[Operation, ...]:
        """For whoever asks."""
        return tuple(entry.record for entry in self._entries)

    def observe(self, fleet: FleetSnapshot) -> None:
        """How many instances there are, for those that are under way."""
        ready = [instance for instance in fleet.serving if instance.state is State.READY]
        waits = "; ".join(host.reason for host in fleet.hosts if host.no_place)
        for entry in self.open():
            release = entry.release or fleet.release
            entry.change(
                wanted=fleet.wanted,
                updated=sum(instance.release == release for instance in ready),
                ready=len(ready),
                waits=waits if entry.record.state is not OperationState.PREPARING else "",
            )
