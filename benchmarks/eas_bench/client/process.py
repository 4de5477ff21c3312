"""One generator process: ``process.main()``; told on stdin, tells on stdout.

stdin: one line of JSON, the bodies, then one line with the moment at which the measured part begins
(nanoseconds of time.monotonic_ns()). The end of stdin means: no more requests; before the measured part, that
nobody is there any more. Nothing secret is in its
arguments or its environment. stdout: JSON lines; ``{"ready": true}``, a page each second, ``{"end": ...}``.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO

from eas_bench import record, schedule
from eas_bench.client.book import Page
from eas_bench.client.calls import Calls
from eas_bench.client.loop import Checking, Loop, Settings
from eas_bench.client.loops import Closed, Open
from eas_bench.client.tls import TlsSockets, context
from eas_bench.client.wire import Sockets
from eas_bench.target import Wanted

_FIELDS = ("url", "method", "headers", "token", "signed", "grpc", "cacert", "insecure")


def told(wanted: Wanted, load: record.Load, share: int) -> bytes:
    """What the process reads first."""
    spec = {
        "wanted": {name: getattr(wanted, name) for name in _FIELDS},
        "bodies": [len(body) for body in wanted.bodies],
        "load": load.model_dump(),
        "share": share,
    }
    return json.dumps(spec).encode() + b"\n" + b"".join(wanted.bodies)


def heard(stream: BinaryIO) -> tuple[Wanted, record.Load, int]:
    """What :func:`told` made."""
    spec = json.loads(stream.readline())
    bodies = tuple(stream.read(size) for size in spec["bodies"])
    headers = tuple((name, value) for name, value in spec["wanted"].pop("headers"))
    return (
        Wanted(**spec["wanted"], headers=headers, bodies=bodies),
        record.Load(**spec["load"]),
        spec["share"],
    )


def loop_for(
    wanted: Wanted,
    load: record.Load,
    share: int,
    start: int,
    *,
    deliver: Callable[[Page], None],
    checking: Checking | None = None,
) -> Loop | Calls:
    """One process's part of a load. ``start``: when the measured part begins. Raises NotWanted."""
    _more_descriptors()
    connections = _part(load.connections, share, load.processes)
    moments = schedule.send_times(load, share, load.processes) if load.kind == "open" else None
    if wanted.grpc:
        return Calls(
            wanted,
            load,
            start=start,
            connections=connections,
            moments=moments,
            deliver=deliver,
            checking=checking,
        )
    settings = Settings(
        connections=connections,
        duration=round(load.duration * schedule.SECOND),
        timeout=round(load.timeout * schedule.SECOND),
        bodiless=wanted.method == "HEAD",
        renewed=(lambda: wanted.requests(time.time())) if wanted.signed else None,
        checking=checking,
        bodies=wanted.bodies,
    )
    family, address = wanted.address()
    wire = (
        TlsSockets(family, address, start, context=context(wanted), host=wanted.host)
        if wanted.tls
        else Sockets(family, address, start)
    )
    requests = wanted.requests(time.time())
    if moments is None:
        return Closed(wire, requests, settings, deliver)
    return Open(wire, requests, settings, deliver, moments)


def main() -> None:
    """The process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides: it closes our stdin
    wanted, load, share = heard(sys.stdin.buffer)
    _tell({"ready": True})
    start = sys.stdin.buffer.readline()
    if not start:
        return
    loop = loop_for(wanted, load, share, int(start), deliver=lambda page: _tell({"page": page.told()}))
    threading.Thread(target=_stop_at_the_end_of_stdin, args=(loop, int(start)), daemon=True).start()
    loop.run()
    _tell({"end": asdict(loop.ending)})


def _stop_at_the_end_of_stdin(loop: Loop | Calls, start: int) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not the buffer, whose lock would be held at the exit
        pass
    if time.monotonic_ns() < start:  # a warm-up may take hours, and would be of no use
        os._exit(0)
    loop.stop()


def _part(whole: int, share: int, of: int) -> int:
    return whole // of + (share < whole % of)


def _more_descriptors() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(what).encode() + b"\n")
    sys.stdout.buffer.flush()
