"""``eas-engine autoscale record``: the samples of a running engine become a load trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from eas_engine.cli.autoscale.explain import PAGE
from eas_engine.cli.engines import NoAnswerError, ask, pick
from eas_engine.clock import Clock, SystemClock
from eas_engine.errors import ConfigurationError
from eas_engine.state import Found

PERIOD = 10.0
"""Seconds between two questions; the engine keeps its samples for minutes."""

Samples = Sequence[Mapping[str, Any]]


def run(
    state_dir: Path | None,
    name: str | None,
    workspace_id: str | None,
    *,
    output: Path,
    seconds: float | None,
) -> None:
    """Write until the time is over or Ctrl-C is pressed."""
    engine = pick(state_dir, name, workspace_id)
    if str(output) == "-":
        _record(engine, sys.stdout, seconds)
        return
    try:
        file = output.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{output}: can't be written: {error.strerror}") from None
    with file:
        _record(engine, file, seconds)
    print(
        f"{output}: try settings on it with eas-engine autoscale simulate --trace {output}", file=sys.stderr
    )


def _record(engine: Found, file: TextIO, seconds: float | None) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
        asyncio.run(write(lambda: _ask(engine), file, SystemClock(), seconds))


async def write(fetch: Callable[[], Samples], file: TextIO, clock: Clock, seconds: float | None) -> None:
    """Each sample once, in their order, as they become known."""
    end = None if seconds is None else clock.now() + seconds
    newest = float("-inf")
    while True:
        for one in fetch():
            if one["seconds"] > newest:
                newest = one["seconds"]
                file.write(json.dumps(one) + "\n")
        file.flush()
        left = PERIOD if end is None else min(PERIOD, end - clock.now())
        if left <= 0:
            return
        await clock.sleep(left)


def _ask(engine: Found) -> Samples:
    code, found = ask(engine, PAGE)
    if code != 200:
        raise NoAnswerError(str(found.get("error", code)))
    samples: Samples = found["samples"]
    return samples
