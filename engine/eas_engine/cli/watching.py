"""Watching an operation of a running engine until it has ended; Ctrl-C ends the watching alone."""

from __future__ import annotations

import os
import select
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from eas_engine.cli.engines import BusyError, get
from eas_engine.cli.told import complain
from eas_engine.state import Found, default_root
from eas_engine.telemetry.logs import wants_bars

Operation = Mapping[str, Any]
"""As the API shows it."""
Instances = list[Mapping[str, Any]]

LOOK = 0.1  # seconds between two looks
BUSY = 30.0  # seconds for which an engine may be too busy to say how it is; the operation goes on
_EACH = 5  # looks between two at the instances, which cost the engine more


class View(Protocol):
    """What somebody sees meanwhile."""

    shows_instances: bool

    def show(self, operation: Operation, instances: Instances) -> None:
        """How it is now."""
        ...


def settled(operation: Operation) -> bool:
    """Whether there is nothing more to wait for: it has ended, or a canary or shadow is ready."""
    return bool(operation["over"]) or operation["state"] == "trying"


def watch(engine: Found, operation: Operation) -> Operation:
    """The operation when it is settled, shown on stderr until then.

    Raises:
        NoAnswerError: the engine has ended before.
        SystemExit: 130, after Ctrl-C.
    """
    if settled(operation):
        return operation
    now, told = operation, set(operation.get("warnings", ()))
    try:
        with _view(engine) as view:
            for now, instances in _looks(engine, operation, instances=view.shows_instances):
                for warning in now.get("warnings", ()):
                    if warning not in told:
                        complain(f"warning: {warning}")
                        told.add(warning)
                view.show(now, instances)
    except KeyboardInterrupt:
        complain(f"operation {operation['number']} ({operation['kind']}) goes on; {again(engine, operation)}")
        raise SystemExit(130) from None
    return now


def again(engine: Found, operation: Operation) -> str:
    """How to look at it again."""
    return f"`eas-engine operations {operation['number']} --wait{of(engine)}` shows it"


def of(engine: Found) -> str:
    """The options that name the engine in a command to copy."""
    workspace = engine.record.workspace_id
    root = engine.path.parents[1 if workspace else 0]
    found = os.environ.get("EAS_STATE_DIR") or str(default_root())
    elsewhere = f" --state-dir {shlex.quote(str(root))}" if Path(found).absolute() != root else ""
    return f" --name {engine.record.name}{f' --workspace-id {workspace}' if workspace else ''}{elsewhere}"


def _looks(engine: Found, operation: Operation, *, instances: bool) -> Iterator[tuple[Operation, Instances]]:
    seen: Instances = []
    count = 0
    while True:
        if instances and count % _EACH == 0:
            seen = _get(engine, "/instances")["instances"]
        yield operation, seen
        if settled(operation):
            return
        select.select([], [], [], LOOK)
        operation = _get(engine, f"/operations/{operation['number']}")
        count += 1


def _get(engine: Found, path: str) -> Any:
    until = time.monotonic() + BUSY
    while True:
        try:
            return get(engine, path)
        except BusyError:
            if time.monotonic() >= until:
                raise
        select.select([], [], [], LOOK)


def _view(engine: Found) -> AbstractContextManager[View]:
    """On a terminal a live one, elsewhere lines."""
    from eas_engine.cli.progress import Lines, Live

    return Live(engine.record.name) if wants_bars(sys.stderr) else Lines()
