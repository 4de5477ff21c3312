"""What a command leaves in files: looked at before it begins, for hours of measuring deserve a place."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer

from eas_bench import writing

STDOUT: Final = Path("-")
_Deed = Callable[[Path], object]


def check(*, json_file: Path | None, report: Path | None = None, makes_folders: bool = False) -> None:
    """Nothing is measured that couldn't be kept. Raises BadParameter; ModuleNotFoundError: no plots.

    ``makes_folders``: the command makes those of them that aren't there.
    """
    for option, path in (("--json", json_file), ("--report", report)):
        if path is None or (path == STDOUT and option == "--json"):
            continue
        if why := _why_not(path, makes_folders=makes_folders):
            raise typer.BadParameter(f"{path}: can't be written: {why}", param_hint=option)
    if report is None:
        return
    if json_file is not None and json_file.resolve() == report.resolve():
        raise typer.BadParameter(f"{report} is where the JSON goes; name another file", param_hint="--report")
    import_module("plotly")  # its absence is told now, not after the run


def keep(command: str, *deeds: tuple[Path | None, _Deed]) -> None:
    """Each of these files, whatever becomes of the others, and say so; exits with 2 when one can't be."""
    whole = True
    for path, deed in deeds:
        if path is None:
            continue
        try:
            deed(path)
        except OSError as error:
            typer.echo(f"eas-bench {command}: {path}: can't be written: {error.strerror}", err=True)
            whole = False
            continue
        if path != STDOUT:
            typer.echo(f"wrote {path}", err=True)
    if not whole:
        raise typer.Exit(2)


def document(content: Any) -> _Deed:
    """What writes this as JSON into a file, or to stdout."""
    text = json.dumps(content, indent=1)

    def written(path: Path) -> None:
        if path == STDOUT:
            print(text)
        else:
            writing.write(path, text + "\n")

    return written


def _why_not(path: Path, *, makes_folders: bool) -> str:
    """What keeps this from being written; empty: nothing that can be seen. No file is left behind."""
    if path == STDOUT:
        return "it is a page for a browser; name a file"
    try:
        if path.is_dir():
            return "it is a folder; name a file in it"
        folder = path.parent
        while makes_folders and not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            return f"there is no folder {folder}; make it first"
        writing.check(folder / path.name)
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        return f"no file can be made there ({getattr(error, 'strerror', None) or error})"
    return ""
