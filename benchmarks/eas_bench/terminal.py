"""A run on the terminal: live while it goes on, and in short when it is over.

In a pipe there are neither colours nor a view that repaints itself: a plain line every few seconds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eas_bench import latency, units
from eas_bench.record import Interval, Load, Percentiles, Run, Tally

LINE_EVERY = 5.0  # seconds, in a pipe
_WIDTH = 48  # of a sparkline
_BLOCKS = "▁▂▃▄▅▆▇█"
_PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")


def summary(run: Run, console: Console) -> None:
    """What a run has shown, on one screen."""
    console.print(Text.assemble((units.plain(run.title or run.asked.url), "bold"), f"  {_load(run.load)}"))
    console.print(_figures(run))
    console.print(_latencies(run))
    console.print(_ends(run.tally))
    for note in run.notes:
        console.print(Text(f"note: {units.plain(note)}", "dim"))
    for reason in run.generator.invalid:
        console.print(Text.assemble(("INVALID: ", "bold red"), (units.plain(reason), "red")))


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """The last ``width`` values as blocks, from 0 (the lowest block) to the largest of them (the highest)."""
    shown = list(values)[-width:]
    top = max(shown, default=0)
    if top <= 0:
        return _BLOCKS[0] * len(shown)
    return "".join(_BLOCKS[min(int(value / top * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in shown)


class Live:
    """What is seen of a run while it goes on.

    ``with Live(title, load, console) as live: measure(..., on_interval=live.show)``
    """

    def __init__(
        self, title: str, load: Load, console: Console, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title = units.plain(title)
        self._load = load
        self._console = console
        self._clock = clock
        self._seen = _Seen()
        self._said: float | None = None
        self._live = (
            RichLive(self._view(), console=console, auto_refresh=False, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, interval: Interval) -> None:
        """The newest; from one thread at a time."""
        self._seen.add(interval)
        if self._live is not None:
            self._live.update(self._view(), refresh=True)
            return
        now = self._clock()
        if self._said is None or now - self._said >= LINE_EVERY:
            self._said = now
            self._console.print(_line(interval, self._load), markup=False, highlight=False, soft_wrap=True)

    def _view(self) -> RenderableType:
        seen, load = self._seen, self._load
        head = Text.assemble((self._title, "bold"), f"  {_load(load)}", overflow="ellipsis", no_wrap=True)
        return Group(head, _progress(seen.ended, load.duration), _now(seen), _so_far(seen))


class _Seen:
    """What the intervals have told until now; the last of them for the sparklines, however long it lasts."""

    def __init__(self) -> None:
        self.ended = 0.0
        self.last: Interval | None = None
        self.rates: deque[float] = deque(maxlen=_WIDTH)
        self.p99s: deque[float] = deque(maxlen=_WIDTH)
        self.statuses: dict[str, int] = {}
        self.failures: dict[str, int] = {}

    def add(self, interval: Interval) -> None:
        self.last = interval
        self.ended = interval.start + interval.seconds
        self.rates.append(sum(interval.tally.statuses.values()) / interval.seconds)
        self.p99s.append(interval.latency.p99 if interval.latency else 0)
        for counts, more in (
            (self.statuses, interval.tally.statuses),
            (self.failures, interval.tally.failures),
        ):
            for key, count in more.items():
                counts[key] = counts.get(key, 0) + count


def _load(load: Load) -> str:
    if load.kind == "open":
        arrivals = f", {load.arrivals} arrivals" if load.arrivals else ""
        return f"{units.rate(load.rate or 0)} open loop{arrivals}"
    return f"{load.connections} connections, closed loop"


def _progress(ended: float, duration: float) -> RenderableType:
    line = Table.grid(padding=(0, 1))
    left = max(0.0, duration - ended)
    line.add_row(
        ProgressBar(total=duration, completed=min(ended, duration), width=_WIDTH),
        Text(f"{units.seconds(ended)} of {units.seconds(duration)}, {units.seconds(left)} left", "dim"),
    )
    return line


def _now(seen: _Seen) -> RenderableType:
    if seen.last is None:
        return Text("warming up", "dim")
    table = Table.grid(padding=(0, 2))
    bytes_each_second = seen.last.tally.bytes_received / seen.last.seconds
    table.add_row(
        "answers",
        Text(units.rate(seen.rates[-1]), "bold"),
        Text(sparkline(seen.rates), "cyan"),
        units.size(bytes_each_second) + "/s received",
    )
    told = Text(_told(seen.last.latency))
    table.add_row(
        "p99", Text(units.micros(seen.p99s[-1] or None), "bold"), Text(sparkline(seen.p99s), "magenta"), told
    )
    return table


def _so_far(seen: _Seen) -> RenderableType:
    parts: list[tuple[str, str] | str] = ["so far  "]
    for status, count in sorted(seen.statuses.items()):
        parts.append((f"{units.plain(status)}: {units.count(count)}  ", _colour(status)))
    for kind, count in sorted(seen.failures.items()):
        parts.append((f"{units.plain(kind)}: {units.count(count)}  ", "red"))
    return Text.assemble(*parts)


def _line(interval: Interval, load: Load) -> str:
    tally = interval.tally
    ends = [
        f"{key}: {units.count(count)}"
        for key, count in (*sorted(tally.statuses.items()), *sorted(tally.failures.items()))
    ]
    ended = interval.start + interval.seconds
    answers = sum(tally.statuses.values()) / interval.seconds
    return units.plain(
        f"{units.seconds(ended)} of {units.seconds(load.duration)}: {units.rate(answers)}, "
        f"{_told(interval.latency)}; {', '.join(ends) or 'nothing'}"
    )


def _told(percentiles: Percentiles | None) -> str:
    values = units.latencies(percentiles)
    return ", ".join(f"{name} {value}" for name, value in zip(_PERCENTILES[:4], values, strict=False))


def _figures(run: Run) -> Text:
    """The sentence above the tables."""
    received, sent = (amount / run.seconds for amount in (run.tally.bytes_received, run.tally.bytes_sent))
    first = (
        f"{units.count(run.tally.sent)} requests in {units.seconds(run.seconds)}: "
        f"{units.rate(run.answers / run.seconds)} answered, {units.rate(run.good / run.seconds)} with 2xx; "
        f"{units.size(received)}/s received, {units.size(sent)}/s sent"
    )
    lines = [first]
    generator = run.generator
    if generator.limit is not None:
        lines.append(f"the generator itself could do {units.rate(generator.limit)}")
    if run.load.kind == "open":
        lines.append(f"99% of the requests were sent at most {units.micros(generator.late_p99)} late")
    return Text("\n".join(lines))


def _latencies(run: Run) -> Table:
    table = _table("latency of", "answers", *_PERCENTILES)
    decoded = {key: latency.decoded(text) for key, text in run.latency.items()}
    good = {key: histogram for key, histogram in decoded.items() if key.startswith("2")}
    rows = [("all answers", decoded["all"])] if "all" in decoded else []
    if good:
        rows.append(("2xx", latency.merged(good)))
    rows += [(key, decoded[key]) for key in sorted(decoded) if key != "all" and key not in good]
    for name, histogram in rows:
        values = units.latencies(latency.summary(histogram))
        count = units.count(histogram.get_total_count())
        table.add_row(Text(units.plain(name), _colour(name)), count, *values)
    return table


def _ends(tally: Tally) -> Table:
    table = _table("end of a request", "count", "share")
    whole = sum(tally.statuses.values()) + sum(tally.failures.values())
    _add(table, ((status, _colour(status), count) for status, count in sorted(tally.statuses.items())), whole)
    _add(
        table, ((f"no answer: {kind}", "red", count) for kind, count in sorted(tally.failures.items())), whole
    )
    return table


def _add(table: Table, rows: Iterable[tuple[str, str, int]], whole: int) -> None:
    for name, colour, count in rows:
        table.add_row(Text(units.plain(name), colour), units.count(count), units.share(count, whole))


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _colour(status: str) -> str:
    return {"2": "green", "4": "yellow", "5": "red"}.get(status[:1], "")
