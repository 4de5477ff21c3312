"""Tables that can be read on a terminal of 80 columns, and grepped in a pipe."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from eas_engine.cli.output import listing

COLUMNS = ("name", "state", "URL", "state directory")
URL, PLACE = "http://127.0.0.1:8080/api/predict/digits", "/home/somebody/.local/state/eas-engine/digits"
ROWS = [["digits", "running", URL, PLACE], ["b", "stale", "http://127.0.0.1:8081/api/predict/b", ""]]


def shown(width: int, *, terminal: bool) -> list[str]:
    file = io.StringIO()
    listing(Console(file=file, width=width, force_terminal=terminal, highlight=False), COLUMNS, ROWS)
    return [re.sub(r"\x1b\[\d+m", "", line).rstrip() for line in file.getvalue().splitlines()]


def test_what_does_not_fit_becomes_a_paragraph_with_every_value_whole() -> None:
    assert shown(80, terminal=True) == [
        "digits",
        "  state            running",
        f"  URL              {URL}",
        f"  state directory  {PLACE}",
        "b",
        "  state            stale",
        "  URL              http://127.0.0.1:8081/api/predict/b",
    ]


def test_on_a_very_narrow_terminal_values_are_folded_not_cut() -> None:
    lines = shown(40, terminal=True)
    assert max(len(line) for line in lines) <= 40
    assert PLACE in "".join(line.strip() for line in lines)


@pytest.mark.parametrize(("width", "terminal"), [(120, True), (240, False)])
def test_what_fits_is_a_table(width: int, terminal: bool) -> None:
    heading, first, second = shown(width, terminal=terminal)
    assert heading.split() == ["name", "state", "URL", "state", "directory"]
    assert first.split() == ROWS[0]
    assert second.split() == ROWS[1][:3]
