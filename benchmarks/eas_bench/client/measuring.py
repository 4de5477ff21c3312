"""A whole run: generator processes are started, told when to begin, listened to, and added up."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from queue import SimpleQueue
from typing import Any, Final

from eas_bench import machine, record
from eas_bench.client.book import Page
from eas_bench.client.calls import metadata_of, package
from eas_bench.client.loop import Checking, Ending
from eas_bench.client.process import loop_for, told
from eas_bench.client.verdict import seconds_of, verdict
from eas_bench.interrupts import gently, held
from eas_bench.latency import encoded, histogram_of
from eas_bench.target import Wanted

_LEAD: Final = 50_000_000  # ns between the last process that is ready and the first request
_OTHER_DESCRIPTORS: Final = 32  # that a process has besides its connections
_SHORT: Final = 0.1  # seconds; a last page that is shorter is part of the one before
_MARGIN: Final = 30.0  # seconds that the processes may take beyond their run


class NotMeasured(Exception):
    """The generator itself failed; the message says how."""


def measure(
    wanted: Wanted,
    load: record.Load,
    *,
    title: str = "",
    on_interval: Callable[[record.Interval], None] | None = None,
    readings: Callable[[], list[record.Reading]] | None = None,
    checking: Checking | None = None,
    limit: float | None = None,
) -> record.Run:
    """Send this load, wait for the ends of all requests, and tell.

    Args:
        wanted: what is asked of whom.
        load: how.
        title: of the record; the URL unless given.
        on_interval: is called about once a second with what the second brought.
        readings: what was read off the server meanwhile; is called once, at the end.
        checking: what is wrong with an answer, given the body sent and the body that came; None: nothing. It
            is called here and not in another process, so one process then makes the load, slower.
        limit: requests/s that the generator can do by itself (:func:`own_limit`).

    Ctrl-C (or what is like it, see ``interrupts``) ends a run early, and its record says so; another one, or
    one in the warm-up, ends it without a record.

    Raises NotMeasured; NotWanted: the host has no address.
    """
    wanted.address()
    _check_descriptors(load)
    if wanted.grpc:
        package()
        metadata_of(wanted)
    processes = 1 if checking is not None else min(load.processes, load.connections)
    load = load.model_copy(update={"processes": processes})
    began = datetime.now(UTC)
    sheets = Sheets(load.processes, on_interval)
    if checking is None:
        endings = _in_processes(wanted, load, sheets)
    else:
        endings = [_in_this_process(wanted, load, sheets, checking)]
    until = max(ending.seconds for ending in endings)
    if until < min(load.duration, _SHORT):
        raise KeyboardInterrupt  # in the warm-up: there is nothing to tell
    notes = [note for ending in endings for note in ending.notes]
    if until < load.duration:
        notes.append(f"{record.STOPPED} {until:.1f} of {load.duration:g} s")
    whole, intervals = sheets.whole(), sheets.intervals()
    seconds = seconds_of(load, until, intervals)
    histograms = {status: histogram_of(counts) for status, counts in whole.answers.items()}
    return record.Run(
        title=title or wanted.asked.url,
        taken=began.isoformat(timespec="seconds"),
        machine={name: str(value) for name, value in machine.describe().items()},
        versions={"eas-engine": version("eas-engine")},
        asked=wanted.asked,
        load=load,
        seconds=seconds,
        tally=whole.tally,
        latency={
            name: encoded(one) for name, one in {**histograms, "all": histogram_of(whole.every)}.items()
        },
        intervals=intervals,
        generator=verdict(load, whole, until=until, seconds=seconds, limit=limit),
        readings=readings() if readings is not None else [],
        notes=notes,
    )


def whole(run: record.Run) -> record.Run:
    """The run, where a part of it is of no use; raises KeyboardInterrupt when that ended it early."""
    if run.stopped:
        raise KeyboardInterrupt
    return run


def _check_descriptors(load: record.Load) -> None:
    """Raises NotMeasured: a closed load has more connections than this machine allows a process."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard - _OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and load.connections > most * load.processes and load.kind == "closed":
        raise NotMeasured(
            f"{load.connections:,} connections are more than {load.processes} process(es) may open ({most:,} "
            "each): give --processes, or raise the limit (ulimit -Hn)"
        )


class Sheets:
    """The pages of all processes, by second."""

    def __init__(self, processes: int, on_interval: Callable[[record.Interval], None] | None) -> None:
        self._pages: dict[int, Page] = {}
        self._missing: dict[int, int] = {}
        self._processes = processes
        self._on_interval = on_interval

    def add(self, page: Page) -> None:
        """One more; when all processes have told of a second, it is told of."""
        number = page.number
        if number in self._pages:
            self._pages[number].add(page)
        else:
            self._pages[number] = page
        self._missing[number] = self._missing.get(number, self._processes) - 1
        if not self._missing[number] and self._on_interval is not None:
            self._on_interval(_interval(self._pages[number]))

    def whole(self) -> Page:
        """All of it."""
        whole = Page(0)
        for page in self._pages.values():
            whole.add(page)
        return whole

    def intervals(self) -> list[record.Interval]:
        """One a second; what came in the first moments of a last second belongs to the one before."""
        pages = [self._pages[number] for number in sorted(self._pages)]
        if len(pages) > 1 and pages[-1].until - pages[-1].number < _SHORT:
            last = pages.pop()
            joined = Page(pages[-1].number)
            joined.add(pages[-1])
            joined.add(last)
            pages[-1] = joined
        return [_interval(page) for page in pages]


def _interval(page: Page) -> record.Interval:
    return page.interval(float(page.number), max(page.until - page.number, 1e-6))


def _in_this_process(wanted: Wanted, load: record.Load, sheets: Sheets, checking: Checking) -> Ending:
    """Where answers are checked."""
    start = time.monotonic_ns() + _LEAD + round(load.warm_up * 1e9)
    loop = loop_for(wanted, load, 0, start, deliver=sheets.add, checking=checking)
    with gently(loop.stop):
        loop.run()
    return loop.ending


def _in_processes(wanted: Wanted, load: record.Load, sheets: Sheets) -> list[Ending]:
    with _started(load.processes) as children:
        for share, child in enumerate(children):
            _write(child, told(wanted, load, share))
        heard: SimpleQueue[tuple[int, dict[str, Any]]] = SimpleQueue()
        for number, child in enumerate(children):
            threading.Thread(target=_listen, args=(number, child, heard), daemon=True).start()
        _await(children, heard, "ready")
        start = time.monotonic_ns() + _LEAD + round(load.warm_up * 1e9)
        for child in children:
            _write(child, b"%d\n" % start)
        with gently(lambda: _close_all(children)):
            return _gather(children, heard, sheets)


def _gather(
    children: list[subprocess.Popen[bytes]], heard: SimpleQueue[tuple[int, dict[str, Any]]], sheets: Sheets
) -> list[Ending]:
    ended: dict[int, Ending] = {}
    while len(ended) < len(children):
        number, told_ = heard.get()
        if "page" in told_:
            sheets.add(Page.heard(told_["page"]))
        elif "end" in told_:
            ended[number] = Ending(**told_["end"])
        elif number not in ended:  # else it has gone, and others haven't told of their end yet
            raise _failed(children[number])
    return list(ended.values())


def _await(
    children: list[subprocess.Popen[bytes]], heard: SimpleQueue[tuple[int, dict[str, Any]]], what: str
) -> None:
    for _ in children:
        number, told_ = heard.get()
        if what not in told_:
            raise _failed(children[number])


def _listen(number: int, child: subprocess.Popen[bytes], heard: SimpleQueue[Any]) -> None:
    assert child.stdout is not None  # noqa: S101 - for the type checker
    for line in child.stdout:
        heard.put((number, json.loads(line)))
    heard.put((number, {}))


@contextlib.contextmanager
def _started(processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-c", "from eas_bench.client.process import main; main()"]
    pipe = subprocess.PIPE
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(processes):
            with held():
                child = subprocess.Popen(
                    command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
                )  # the end of a terminal is for us: we close its stdin, and it ends what is under way
                children.append(child)  # each at once: a second may fail to start
        yield children
    finally:
        for child in children:
            _close(child)
            child.kill()
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()


def _write(child: subprocess.Popen[bytes], data: bytes) -> None:
    assert child.stdin is not None  # noqa: S101 - for the type checker
    with contextlib.suppress(BrokenPipeError):  # it says why on stderr
        child.stdin.write(data)
        child.stdin.flush()


def _close_all(children: list[subprocess.Popen[bytes]]) -> None:
    """They make no more requests."""
    for child in children:
        _close(child)


def _close(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()


def _failed(child: subprocess.Popen[bytes]) -> NotMeasured:
    assert child.stderr is not None  # noqa: S101 - for the type checker
    said = child.stderr.read().decode(errors="replace").strip()
    return NotMeasured(
        f"a generator process ended by itself ({child.wait()}): {said[-2000:] or 'it said nothing'}"
    )
