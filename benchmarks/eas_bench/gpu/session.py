"""All checks in turn, each for itself: one that fails or takes too long doesn't end the others."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""After which no check is begun."""
LAST_SECOND: Final = 450.0
"""When a check that isn't done is ended: all of it takes less than eight minutes."""

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
    "card = torch.cuda.get_device_properties(0) if there else None; "
    "print(json.dumps([torch.__version__, card.name if there else '', card.total_memory if there else 0]))"
)
_STARTS: Final = 120.0  # seconds that torch may take to look for a card


class NoCard(Exception):
    """There is nothing to measure on; the message says what is missing."""


class TimeIsUp(BaseException):
    """Nothing may take longer. No ``Exception``: nobody on the way may take it for a failure of its own."""


class NoResults(Exception):
    """A file isn't what ``write`` wrote; the message says why."""


@dataclass(slots=True, kw_only=True)
class Results:
    """What was measured.

    Attributes:
        card: its name.
        torch: the version.
        memory: bytes of the card.
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
    memory: int = 0
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


def there(command: Sequence[str] = (sys.executable, "-c", _ASKS)) -> tuple[str, str, int]:
    """Torch's version, the card's name and its bytes, as a process of its own sees them. Errors: NoCard."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_STARTS)
    except subprocess.TimeoutExpired:
        raise NoCard(f"torch hasn't found out after {_STARTS:.0f} s whether there is a card") from None
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        raise NoCard(f"torch can't be imported: {why or f'it ended with {done.returncode}'}")
    version, card, memory = json.loads(done.stdout.strip().rpartition("\n")[2])
    if not card:
        raise NoCard(f"there is no card here that torch {version} can use: nothing was measured")
    return version, card, memory


def run(
    checks: Mapping[str, Check],
    results: Results,
    work: Work,
    tell: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    keep: Callable[[], object] = lambda: None,
) -> None:
    """Run them into ``results``. Ctrl-C and SIGTERM end it, and what wasn't begun is unmeasured.

    Args:
        checks: by name.
        results: are filled.
        work: what they need.
        tell: told what goes on.
        clock: seconds, monotonic.
        keep: called after each of them: whatever ends this process, what it had measured isn't lost.
    """
    began, left = clock(), list(checks)
    results.checks, results.raw = list(checks), work.raw
    while left:
        name = left.pop(0)
        results.seconds = clock() - began
        if results.seconds > MOST_SECONDS:
            results.unmeasured[name] = f"no time was left: the others took {results.seconds:.0f} s"
            continue
        tell(f"{name} ({len(checks) - len(left)} of {len(checks)})")
        try:
            with _for_seconds(LAST_SECOND - results.seconds):
                work.figures.update(checks[name](work))
        except (KeyboardInterrupt, SystemExit):
            results.unmeasured.update(dict.fromkeys([name, *left], "interrupted"))
            left = []
        except TimeIsUp:
            results.unmeasured[name] = f"it wasn't done {LAST_SECOND:.0f} s after the first one's begin"
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            known = isinstance(error, (NotServing, NotWanted, client.NotMeasured, machine.Missing))
            results.unmeasured[name] = str(error) if known else f"{type(error).__name__}: {error}"
        if name in results.unmeasured:
            tell(f"  not measured: {results.unmeasured[name]}")
        results.figures.update(work.figures)
        results.seconds = clock() - began
        keep()


@contextlib.contextmanager
def _for_seconds(seconds: float) -> Iterator[None]:
    """``TimeIsUp`` is raised in the block when it takes longer; outside of the main thread nothing is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def new(version: str, card: str, memory: int) -> Results:
    """Of this machine, now; nothing measured yet."""
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(card=card, torch=version, memory=memory, taken=taken, machine=machine.describe())


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
