"""What is seen of an operation while it goes on: a live view on a terminal, lines elsewhere, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eas_engine.cli.output import duration, plain, size
from eas_engine.cli.status import STATE_COLOURS
from eas_engine.cli.watching import Instances, Operation, settled
from eas_engine.clock import Clock, SystemClock
from eas_engine.telemetry.logs import printable

_ROWS = 12  # of instances; a service may have a thousand
_TENTH = 10
_BAR = 30  # columns


class Lines:
    """One line for each thing that has changed."""

    shows_instances = False

    def __init__(self) -> None:
        self._last: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to tidy up."""

    def show(self, operation: Operation, instances: Instances) -> None:
        """See ``View``."""
        del instances
        lines = list(_lines(operation))
        for line in lines:
            if line not in self._last:
                print(printable(line), file=sys.stderr, flush=True)
        self._last = lines


def _lines(operation: Operation) -> list[str]:
    if settled(operation):  # then it is said how it ended
        return []
    state = operation["state"]
    if operation["fetching"]:
        return [f"{state}: {name}: {_fetched(one)}" for name, one in operation["fetching"].items()]
    lines = [f"{state}: {counts(operation)}" if _counts(operation) else state]
    return lines + ([f"{state}: {operation['waits']}"] if operation.get("waits") else [])


def _fetched(one: Mapping[str, Any]) -> str:
    """In tenths, so that a large file is some lines, not thousands."""
    total = one["of"]
    if not total:
        return "fetching"
    tenths = _TENTH * min(one["bytes"], total) // total
    return f"{tenths * 10}% of {size(total)}"


def _counts(operation: Operation) -> bool:
    """Whether there is something to count: while it is prepared, instances are as they were."""
    return bool(operation["wanted"]) and operation["state"] != "preparing"


def counts(operation: Operation) -> str:
    """``1 of 4 instances are new, 4 are ready``."""
    wanted, ready, updated = operation["wanted"], operation["ready"], operation["updated"]
    if operation["effect"] == "rollout":
        return f"{updated} of {wanted} {_instances(wanted)} new, {ready} ready"
    if ready > wanted:  # some of them are about to leave
        return f"{ready} {_instances(ready)} ready, {wanted} wanted"
    return f"{ready} of {wanted} {_instances(wanted)} ready"


def _instances(count: int) -> str:
    return "instance" if count == 1 else "instances"


class Live:
    """A view that is drawn anew, and stays as it was at the end."""

    shows_instances = True

    def __init__(self, name: str, *, console: Console | None = None, clock: Clock | None = None) -> None:
        self._name = name
        self._clock = clock or SystemClock()
        self._live = RichLive(
            console=console or Console(stderr=True, highlight=False, markup=False),
            auto_refresh=False,
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, operation: Operation, instances: Instances) -> None:
        """See ``View``."""
        elapsed = max(0.0, (operation["ended"] or self._clock.wall()) - operation["started"])
        head = f"{self._name}: {operation['kind']}, {operation['state']}, {duration(elapsed) or '0'}"
        parts: list[Any] = [plain(head, "bold")]
        if operation["fetching"]:
            parts.append(_fetching(operation["fetching"]))
        if _counts(operation):
            parts.append(_rollout(operation))
        if instances:
            parts.append(_seats(instances))
        self._live.update(Group(*parts), refresh=True)


def _fetching(files: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = Table.grid(padding=(0, 1))
    for name, one in files.items():
        done, total = one["bytes"], one["of"]
        bar = ProgressBar(total=total, completed=min(done, total or done), width=_BAR, pulse=not total)
        rows.add_row(
            plain(f"  {name}"), bar, plain(f"{size(done)} of {size(total)}" if total else size(done))
        )
    return rows


def _rollout(operation: Operation) -> Table:
    row = Table.grid(padding=(0, 1))
    done = operation["updated"] if operation["effect"] == "rollout" else operation["ready"]
    bar = ProgressBar(total=operation["wanted"], completed=min(done, operation["wanted"]), width=_BAR)
    row.add_row(plain("  instances"), bar, plain(counts(operation)))
    return row


def _seats(instances: Instances) -> Table:
    """Those that change first: what is ready may be many."""
    rows = Table.grid(padding=(0, 2))
    restless = sorted(instances, key=lambda one: one["state"] == "READY")
    for one in restless[:_ROWS]:
        version = one.get("version")
        rows.add_row(
            plain(f"  {one['name']}"),
            plain(f"version {version}" if version else ""),
            plain(one["state"], STATE_COLOURS.get(one["state"], "yellow")),
            Text(printable(one["reason"]), style="dim", overflow="ellipsis", no_wrap=True),
        )
    if (more := len(restless) - _ROWS) > 0:
        rows.add_row(plain(f"  and {more} more", "dim"))
    return rows
