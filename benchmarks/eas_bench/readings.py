"""What is read off the server under load: its metrics, and its processes as the system shows them.

Of any server that has metrics in the Prometheus text format, counters and gauges are taken, the labels added
up. Those of an eas-engine lose their prefix, so that ``eas_request_queue_seconds_sum`` is
``queue_seconds_sum``, and its instances are counted and named.
"""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import psutil
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from eas_bench import gpu_metrics
from eas_bench.processes import Family
from eas_bench.record import Card, Interval, Process, Reading

EVERY: Final = 1.0  # seconds
MOST: Final = 2000  # readings; then every second one goes, and they are taken half as often
NAMES: Final = 300  # metrics of one scrape; a server with a metric for each customer isn't copied
_PATIENCE: Final = 5.0  # seconds for an answer
_LARGEST: Final = 16 * 1024 * 1024  # bytes
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

Fetch = Callable[[str], bytes]
"""GET; raises OSError."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What the metrics said at one moment."""

    requests: dict[str, float] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    pid: int | None = None  # of the engine, if it is one
    cards: list[Card] = field(default_factory=list)


def parse(text: str) -> Scrape:
    """Of an exposition; raises ValueError when it is none."""
    lines = (line for line in text.splitlines() if "_bucket{" not in line)  # nine tenths, and of no use here
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    pid = None
    of_cards: list[Sample] = []
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        if family.name == "eas_engine_info":
            pid = _pid(family)
            continue
        if family.name.startswith(gpu_metrics.PREFIX):  # the sum of two temperatures is none
            of_cards += _finite(family)
            continue
        for sample in _finite(family):
            into = counters if _counts(family, sample) else gauges
            name = _short(sample)
            if name in into or len(into) < NAMES:
                into[name] = into.get(name, 0.0) + sample.value
    return Scrape(counters, gauges, pid, gpu_metrics.cards(of_cards))


class Watcher:
    """Reads once a second, from a thread of its own, while the block lasts.

    ``with Watcher(admin_url, warm_up=load.warm_up) as watcher: measure(..., readings=watcher.readings)``
    """

    def __init__(
        self,
        url: str | None,
        *,
        pid: int | None = None,
        warm_up: float = 0.0,
        every: float = EVERY,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``url``: of an engine's admin plane, or of another server's metrics (then it has a path); or None.

        ``pid``: of the server's first process, if it runs on this machine; that of an engine is found by
        itself. ``warm_up``: seconds from the beginning of the block to that of the measured part.
        """
        if url is not None and urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(f"{url}: metrics are read over http or https")
        self._url, self._fetch = url, fetch or get
        self._every, self._clock = every, clock
        self._warm_up = warm_up
        self._began = 0.0
        self._taken: list[tuple[float, Reading]] = []
        self._taking = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="readings", daemon=True)
        self._faults: list[str] = []
        self._pid = pid
        self._family: Family | None = None

    def __enter__(self) -> Self:
        self._began = self._clock() + self._warm_up
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def note(self, interval: Interval) -> None:
        """An interval has just ended, which tells exactly when the measured part began."""
        self._began = min(self._began, self._clock() - interval.start - interval.seconds)

    def readings(self) -> list[Reading]:
        """All until now, this moment's among them."""
        with self._taking:
            self._take()
            return [reading.model_copy(update={"at": at - self._began}) for at, reading in self._taken]

    @property
    def notes(self) -> list[str]:
        """What couldn't be read, for the record's notes."""
        if not self._faults:
            return []
        times = f" ({len(self._faults)} times)" if len(self._faults) > 1 else ""
        return [f"the server's metrics couldn't be read: {self._faults[0]}{times}"]

    def _watch(self) -> None:
        due = self._clock()
        while not self._over.wait(max(0.0, due - self._clock())):
            with self._taking:
                self._take()
            due = max(due + self._every, self._clock())  # a late one isn't made up for

    def _take(self) -> None:
        at = self._clock()
        scrape = self._scrape()
        if scrape is None and self._pid is None:
            return
        scrape = scrape or Scrape()
        self._taken.append(
            (
                at,
                Reading(
                    at=0,
                    requests=scrape.requests,
                    gauges=scrape.gauges,
                    processes=self._processes(scrape),
                    cards=scrape.cards,
                ),
            )
        )
        if len(self._taken) > MOST:
            self._taken = self._taken[::2]
            self._every *= 2

    def _scrape(self) -> Scrape | None:
        if self._url is None:
            return None
        path = "" if urlsplit(self._url).path.strip("/") else "/metrics"
        try:
            return parse(self._fetch(self._url.rstrip("/") + path).decode())
        except (OSError, ValueError) as error:
            self._faults.append(str(error) or type(error).__name__)
            return None

    def _processes(self, scrape: Scrape) -> list[Process]:
        if self._pid is None and scrape.pid is not None and self._is_here(scrape.pid):
            self._pid = scrape.pid
        if self._family is None and self._pid is not None:
            self._family = Family(self._pid, "server" if scrape.pid is None else "engine", self._names)
        return self._family.look() if self._family is not None else []

    def _is_here(self, pid: int) -> bool:
        """Is that process, which the server says it is, one of this machine? In a container it isn't."""
        if self._url is None or urlsplit(self._url).hostname not in _LOOPBACK:
            return False
        try:
            return any("eas_engine" in word or "eas-engine" in word for word in psutil.Process(pid).cmdline())
        except psutil.Error:
            return False

    def _names(self) -> Mapping[int, str]:
        """Of an engine's instances; those of other servers have none."""
        if self._url is None or urlsplit(self._url).path.strip("/"):
            return {}
        try:
            return names(json.loads(self._fetch(self._url.rstrip("/") + "/api/v1/service")))
        except (OSError, ValueError):
            return {}


def names(service: Any) -> dict[int, str]:
    """Pids of instances to their names, of what an engine's ``/api/v1/service`` said."""
    instances = service.get("instances", ()) if isinstance(service, dict) else ()
    return {
        pid: str(one["name"])
        for one in instances
        if isinstance(one, dict) and "name" in one
        for pid in one.get("pids", ())
    }


def get(url: str) -> bytes:
    """GET past every proxy, for it is the server's own word that counts; raises OSError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_PATIENCE) as answer:  # http and https alone: Watcher looks
            body: bytes = answer.read(_LARGEST)
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error
    return body


def _finite(family: Metric) -> Iterator[Sample]:
    """Quantiles of summaries can't be added up, and JSON has no word for NaN."""
    return (one for one in family.samples if math.isfinite(one.value) and "quantile" not in one.labels)


def _counts(family: Metric, sample: Sample) -> bool:
    return family.type == "counter" or sample.name.endswith(("_sum", "_count"))


def _short(sample: Sample) -> str:
    if sample.name == "eas_instance_state":
        return f"instances_{sample.labels.get('state', '').lower()}"
    own = sample.name.removeprefix("eas_")
    return own if own.startswith("request_seconds") else own.removeprefix("request_")


def _pid(family: Metric) -> int | None:
    for sample in family.samples:
        pid = sample.labels.get("pid", "")
        if pid.isdecimal():
            return int(pid)
    return None
