"""``eas-engine cache ls`` and ``cache prune``: what was fetched, for a person or a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from eas_engine.artifacts.cache.cache import Cache, Entry
from eas_engine.artifacts.cache.prune import STALE, choose, limit_of, seconds_of
from eas_engine.clock import SystemClock
from eas_engine.state import default_root

_ID_SHOWN = 12  # characters of an object's id in a table


def run_ls(state_dir: Path | None, cache_size: str, *, as_json: bool) -> None:
    """Print what the cache holds, the most recently used first. Errors: ConfigurationError."""
    cache = _open(state_dir)
    entries = cache.entries()[::-1]
    unfinished = list(cache.leftovers())
    limit = limit_of(cache_size, cache.root)
    total = sum(one.size for one in entries)
    if as_json:
        from eas_engine.cli.output import print_json

        print_json(
            {
                "directory": str(cache.root),
                "limit_bytes": limit,
                "bytes": total,
                "entries": [asdict(one) for one in entries],
                "unfinished": [{"path": str(path), "bytes": size} for path, size, _ in unfinished],
            }
        )
        return
    from eas_engine.cli.output import console, size

    out = console()
    _table(out, entries)
    out.print(f"{size(total)} of at most {size(limit)} in {cache.root}")
    if unfinished:
        waiting = sum(bytes_ for _, bytes_, _ in unfinished)
        out.print(f"{size(waiting)} of unfinished downloads")


def run_prune(
    state_dir: Path | None, cache_size: str, *, everything: bool, older_than: str, as_json: bool
) -> None:
    """Delete what isn't in use, and print what was deleted. Errors: ConfigurationError."""
    cache = _open(state_dir)
    now = SystemClock().wall()
    before = now - seconds_of(older_than) if older_than else None
    limit = 0 if everything else limit_of(cache_size, cache.root)
    freed = cache.sweep(before=now + 1 if everything else now - STALE)
    gone = [one for one in choose(cache.entries(), limit=limit, before=before) if cache.drop(one.id)]
    freed += sum(one.size for one in gone)
    cache.sweep(before=0.0)  # the records of what is gone
    kept = sum(one.in_use for one in cache.entries())
    if as_json:
        from eas_engine.cli.output import print_json

        print_json({"freed_bytes": freed, "deleted": [asdict(one) for one in gone], "in_use": kept})
        return
    from eas_engine.cli.output import console, size

    out = console()
    _table(out, gone, nothing="nothing was deleted")
    out.print(f"{size(freed)} freed" + (f"; {kept} in use were kept" if kept else ""))


def _open(state_dir: Path | None) -> Cache:
    return Cache.open((state_dir or default_root()).absolute() / "cache")


def _table(out: Any, entries: Sequence[Entry], nothing: str = "nothing") -> None:
    from eas_engine.cli.output import plain, size, table

    if not entries:
        out.print(nothing)
        return
    rows = [
        (
            "\n".join(one.addresses) or "-",
            one.id[:_ID_SHOWN],
            one.kind,
            one.files,
            size(one.size),
            f"{datetime.fromtimestamp(one.used).astimezone():%Y-%m-%d %H:%M:%S}",
            plain("in use", "green") if one.in_use else "",
        )
        for one in entries
    ]
    out.print(table(("address", "id", "kind", "files", "size", "last use", ""), rows))
