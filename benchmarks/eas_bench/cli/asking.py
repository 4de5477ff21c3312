"""Whom a command asks, and one run of it, seen on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from eas_bench import record
    from eas_bench.target import Wanted

NO_LIMIT: Final = (
    "the generator's own limit isn't known with TLS, which costs it more: only its processor time tells "
    "whether it was the limit"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked, and what of it can be watched."""

    wanted: Wanted
    admin_url: str = ""
    pid: int | None = None


@contextlib.contextmanager
def asking(url: str | None, config: Path | None, token: str, fields: dict[str, Any]) -> Iterator[Asked]:
    """Whom to ask: an address, or an engine that is started for it."""
    from eas_bench.served import running
    from eas_bench.target import Wanted

    if (url is None) == (config is None):
        raise typer.BadParameter(
            "give the URL of a server, or --config FILE to have one started: one of the two"
        )
    if url is not None:
        yield Asked(Wanted(url, token=token, **fields))
        return
    assert config is not None  # noqa: S101 - for the type checker
    with contextlib.ExitStack() as stack:
        with _told(f"starting an engine for {config}"):
            served = stack.enter_context(running(config))
        yield Asked(Wanted(served.url, token=token or served.token, **fields), served.admin_url, served.pid)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """On a terminal, as long as it takes; a line in a pipe."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, stderr=True)
    if not console.is_terminal:
        console.print(what, markup=False, soft_wrap=True)
    with console.status(Text(what)):
        yield


def measured(asked: Asked, load: record.Load, *, title: str, metrics: str, own_limit: bool) -> record.Run:
    """One run, seen on the terminal while it goes on. Raises NotMeasured, and NotWanted."""
    from rich.console import Console

    from eas_bench import client, terminal
    from eas_bench.readings import Watcher

    console = Console(highlight=False, stderr=True)
    own_limit = own_limit and not asked.wanted.tls
    with console.status("finding out what the generator itself can do" if own_limit else "asking once"):
        note = client.first_answer(asked.wanted, load.timeout)
        limit = client.own_limit(load, wanted=asked.wanted) if own_limit else None
    if asked.wanted.tls:
        note = [*note, NO_LIMIT]
    name = title or asked.wanted.asked.url
    watcher = Watcher(metrics or asked.admin_url or None, pid=asked.pid, warm_up=load.warm_up)
    with watcher, terminal.Live(name, load, console) as live:

        def seen(interval: record.Interval) -> None:
            watcher.note(interval)
            live.show(interval)

        made = client.measure(
            asked.wanted, load, title=name, on_interval=seen, readings=watcher.readings, limit=limit
        )
    return made.model_copy(update={"notes": [*made.notes, *note, *watcher.notes]})
