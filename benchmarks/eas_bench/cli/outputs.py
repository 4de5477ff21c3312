"""What a command leaves in files: looked at before it begins, for hours of measuring deserve a place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer

STDOUT: Final = Path("-")
_Deed = Callable[[Path], object]


def check(*, json_file: Path | None, report: Path | None = None) -> None:
    """Nothing is measured that couldn't be kept. Raises BadParameter; ModuleNotFoundError: no plots."""
    for option, path in (("--json", json_file), ("--report", report)):
        if path is None or (path == STDOUT and option == "--json"):
            continue
        if why := _why_not(path):
            raise typer.BadParameter(f"{path}: can't be written: {why}", param_hint=option)
    if report is None:
        return
    if json_file is not None and json_file.resolve() == report.resolve():
        raise typer.BadParameter(f"{report} is where the JSON goes; name another file", param_hint="--report")
    import_module("plotly")  # its absence is told now, not after the run


def keep(command: str, *deeds: tuple[Path | None, _Deed]) -> None:
    """Each of these files, whatever becomes of the others; exits with 2 when one can't be written."""
    whole = True
    for path, deed in deeds:
        if path is None:
            continue
        try:
            deed(path)
        except OSError as error:
            typer.echo(f"eas-bench {command}: {path}: can't be written: {error.strerror}", err=True)
            whole = False
    if not whole:
        raise typer.Exit(2)


def document(content: Any) -> _Deed:
    """What writes this as JSON into a file, or to stdout."""
    from eas_bench.writing import write

    text = json.dumps(content, indent=1)

    def written(path: Path) -> None:
        if path == STDOUT:
            print(text)
        else:
            write(path, text + "\n")

    return written


def _why_not(path: Path) -> str:
    """What keeps this from being written; empty: nothing that can be seen."""
    if path == STDOUT:
        return "it is a page for a browser; name a file"
    if path.is_dir():
        return "it is a folder"
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    allowed = os.access(path, os.W_OK) if path.exists() else os.access(folder, os.W_OK)
    return "" if allowed else "it isn't allowed"
