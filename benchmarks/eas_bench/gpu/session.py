"""All checks in turn, each for itself: one that fails or takes too long doesn't end the others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from eas_bench import client, machine, writing
from eas_bench.gpu import bars, served
from eas_bench.gpu.served import Work
from eas_bench.scenarios.bars import Measured
from eas_bench.servers import NotServing
from eas_bench.target import NotWanted

FORMAT: Final = "eas-bench.gpu/1"
MOST_SECONDS: Final = 420.0
"""After which no check is begun: all of it takes less than eight minutes."""

Check = Callable[[Work], dict[str, Measured]]

CHECKS: Final[Mapping[str, Check]] = {
    "card": served.card,
    **{name: partial(served.network, name=name) for name in ("G1", "G2", "G3")},
    "shares": served.shares,
    "beside": served.beside,
}
"""By what stands before the ``-`` in the keys of their bars."""

_ASKS: Final = (
    "import json, torch; there = torch.cuda.is_available(); "
    "print(json.dumps([torch.__version__, torch.cuda.get_device_name(0) if there else '']))"
)


class NoCard(Exception):
    """There is nothing to measure on; the message says what is missing."""


class NoResults(Exception):
    """A file isn't what ``write`` wrote; the message says why."""


@dataclass(slots=True, kw_only=True)
class Results:
    """What was measured.

    Attributes:
        card: its name.
        torch: the version.
        taken: when, ISO 8601.
        checks: those that were to be run.
        seconds: how long it took.
        machine: see ``machine.describe``.
        figures: by the bar's key.
        unmeasured: by the check, why.
        raw: what the figures were made of.
    """

    card: str
    torch: str
    taken: str
    checks: list[str] = field(default_factory=list)
    seconds: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Measured] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def lines(self) -> list[bars.Line]:
        """The table."""
        return bars.lines(self.figures, self.unmeasured, self.checks)


def there(command: Sequence[str] = (sys.executable, "-c", _ASKS)) -> tuple[str, str]:
    """Torch's version and the card's name, as a process of its own sees them. Errors: NoCard."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        raise NoCard(f"torch can't be imported: {why or f'it ended with {done.returncode}'}")
    version, card = json.loads(done.stdout)
    if not card:
        raise NoCard(f"there is no card here that torch {version} can use: nothing was measured")
    return version, card


def run(
    checks: Mapping[str, Check],
    results: Results,
    work: Work,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run them into ``results``. Ctrl-C ends it, and what wasn't begun is unmeasured."""
    began, left = clock(), list(checks)
    results.checks = list(checks)
    while left:
        name = left.pop(0)
        if clock() - began > MOST_SECONDS:
            results.unmeasured[name] = f"no time was left: the others took {clock() - began:.0f} s"
            continue
        tell(f"{name} ({len(checks) - len(left)} of {len(checks)})")
        try:
            results.figures.update(checks[name](work))
        except KeyboardInterrupt:
            results.unmeasured.update(dict.fromkeys([name, *left], "interrupted"))
            break
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            known = isinstance(error, (NotServing, NotWanted, client.NotMeasured, machine.Missing))
            results.unmeasured[name] = str(error) if known else f"{type(error).__name__}: {error}"
            tell(f"  not measured: {results.unmeasured[name]}")
    results.seconds = clock() - began
    results.raw = work.raw


def new(version: str, card: str) -> Results:
    """Of this machine, now; nothing measured yet."""
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(card=card, torch=version, taken=taken, machine=machine.describe())


def write(results: Results, path: Path) -> None:
    """As JSON. Errors: OSError."""
    lines = [
        {"key": line.bar.key, "outcome": line.outcome, "value": line.verdict and line.verdict.value}
        for line in results.lines
    ]
    told = {"format": FORMAT, "lines": lines, **asdict(results)}
    writing.write(path, json.dumps(told, indent=1, default=str) + "\n")


def read(path: Path) -> Results:
    """What ``write`` wrote. Errors: NoResults."""
    try:
        told = json.loads(path.read_bytes())
        if told.pop("format") != FORMAT:
            raise NoResults(f"{path}: has another format than {FORMAT}")
        told.pop("lines")
        figures = {key: Measured(**one) for key, one in told.pop("figures").items()}
        return Results(**told, figures=figures)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoResults(f"{path}: is not what `eas-bench gpu-check` wrote: {error}") from None
