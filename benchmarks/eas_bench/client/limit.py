"""What the generator itself can do: the same requests, sent to a sink that costs next to nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from eas_bench import record
from eas_bench.client.measuring import NotMeasured, measure, whole
from eas_bench.target import Wanted

SECONDS: Final = 1.0
_WARM: Final = 0.3
_CONNECTIONS: Final = 64


def own_limit(
    load: record.Load, body: bytes = b"", *, wanted: Wanted | None = None, seconds: float = SECONDS
) -> float:
    """Requests/s that the processes of this load can make by themselves, as far as there are cores for them.

    They make ``wanted``'s requests (or plain ones with this body) in closed loop to a sink. What counts is
    their processor time, so that it doesn't matter that the sink needs some, too. Raises NotMeasured, and
    KeyboardInterrupt.
    With gRPC the sink answers each call with nothing.
    """
    wanted = wanted or Wanted("http://127.0.0.1/", bodies=(body,))
    if wanted.method == "HEAD":
        wanted = replace(wanted, method="GET")
    connections = min(_CONNECTIONS, load.connections)
    trial = record.Load(
        kind="closed",
        connections=max(connections, load.processes),
        duration=seconds,
        warm_up=_WARM,
        timeout=30,
        processes=load.processes,
    )
    average = sum(map(len, wanted.bodies)) // len(wanted.bodies)
    wanted = replace(wanted, bodies=(bytes(average),))
    with sink(wanted.grpc) as (port, size):
        here = replace(wanted, url=f"http://127.0.0.1:{port}{wanted.path}")
        size(len(here.requests(0)[0]))
        run = whole(measure(here, trial))
    if not run.good or not run.generator.cpu_seconds:
        raise NotMeasured(f"the generator had no answer from its own sink: {run.tally}")
    cores = min(load.processes, len(os.sched_getaffinity(0)))
    return run.answers / run.generator.cpu_seconds * cores


@contextlib.contextmanager
def sink(grpc: str = "") -> Iterator[tuple[int, Callable[[int], None]]]:
    """A process that answers without reading: its port, and what tells it how many bytes a request has.

    Raises NotMeasured.
    """
    command = [sys.executable, "-m", f"eas_bench.client.{'call_sink' if grpc else 'sink'}"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None and process.stdin is not None  # noqa: S101, PT018 - for the type checker
    told = process.stdin

    def size(bytes_: int) -> None:
        print(bytes_, file=told, flush=True)

    try:
        words = process.stdout.readline().split()
        if len(words) != 2 or words[0] != "listening":
            raise NotMeasured("the generator's own sink didn't start")
        yield int(words[1]), size
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
