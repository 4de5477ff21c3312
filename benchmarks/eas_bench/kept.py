"""Files that our commands leave, told apart: which of them hold runs, and what the others are for.

Each is one JSON document with a ``format`` of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eas_bench import record, sweep
from eas_bench.record import NoRecord, Run
from eas_bench.search import Done, End, Result, Trial, curve
from eas_bench.soak import steady

_COUNTS: Final = "counts and faults, to be read as they are: there is no run in it to be shown"
_OTHERS: Final = {
    "chaos": ("chaos", _COUNTS),
    "life": ("soak", _COUNTS),
    "comparison": ("compare", "differences: give the runs that were compared"),
    "results": (
        "scenario",
        "`eas-bench baseline FILE` judges it, `eas-bench scenario --update-docs FILE` puts it into the docs",
    ),
    "peers": ("peers", "`eas-bench peers --json FILE --update-docs` puts it into the docs"),
    "gpu": ("gpu-check", "`eas-bench gpu-check --update-docs FILE` puts it into the docs"),
}
"""The family of a format -> the command that writes it, and what one can do with it."""


@dataclass(frozen=True, slots=True)
class Runs:
    """What a file holds; ``notes``: what it says of all of them together."""

    runs: list[Run]
    notes: list[str]


def runs(path: Path) -> Runs:
    """The runs that a file holds: one; those of a sweep's curve; that of a soak. Raises NoRecord."""
    document = record.content(path)
    if _format(document) == sweep.FORMAT:
        return _curve(document, path)
    if _format(document) == steady.FORMAT:
        notes = [f"fault: {fault}" for fault in document.get("faults", [])]
        return Runs([record.understood(document.get("run"), path)], notes)
    return Runs([_one(document, path)], [])


def run(path: Path) -> Run:
    """The one run that a file holds. Raises NoRecord."""
    document = record.content(path)
    if _format(document) == sweep.FORMAT:
        raise NoRecord(
            f"{path}: is what `eas-bench sweep --json` wrote, runs at many rates: `eas-bench report` shows "
            "them; to compare two servers, measure both at one rate with `eas-bench run`"
        )
    if _format(document) == steady.FORMAT:
        return record.understood(document.get("run"), path)
    return _one(document, path)


def _one(document: Any, path: Path) -> Run:
    family = _format(document).removeprefix("eas-bench.").partition("/")[0]
    if family in _OTHERS:
        command, use = _OTHERS[family]
        raise NoRecord(
            f"{path}: is no record of a run, but what `eas-bench {command} --json` wrote: "
            f"{use.replace('FILE', str(path))}"
        )
    return record.understood(document, path)


def _curve(document: Any, path: Path) -> Runs:
    """One run a rate, and the answer, as the sweep itself has them."""
    try:
        trials = [Trial(float(told["rate"]), Result(told["result"])) for told in document["trials"]]
        numbers = curve(trials)
        kept = [document["runs"][number] for number in numbers]
        done = Done(document["rate"], End[document["end"].upper()], document["above"])
        told = sweep.answer(str(document["objective"]), done)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise NoRecord(f"{path}: is no whole record of a sweep: measure it anew") from None
    if not kept:
        raise NoRecord(
            f"{path}: is a sweep that was ended before its first run was over: there is nothing in it"
        )
    runs = [record.understood(one, path) for one in kept]
    return Runs(runs, sweep.notes(told, runs, [trials[number] for number in numbers]))


def _format(document: Any) -> str:
    return str(document.get("format", "")) if isinstance(document, dict) else ""
