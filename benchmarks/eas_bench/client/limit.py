"""What the generator itself can do: the same requests, sent to a sink that costs next to nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from eas_bench import record
from eas_bench.client.measuring import NotMeasured, measure
from eas_bench.target import Wanted

SECONDS: Final = 1.0
_WARM: Final = 0.3
_CONNECTIONS: Final = 64


def own_limit(
    load: record.Load, body: bytes = b"", *, wanted: Wanted | None = None, seconds: float = SECONDS
) -> float:
    """Requests/s that the processes of this load can make by themselves, as far as there are cores for them.

    They make ``wanted``'s requests (or plain ones with this body) in closed loop to a sink. What counts is
    their processor time, so that it doesn't matter that the sink needs some, too. Raises NotMeasured.
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
    with sink({len(request) for request in wanted.requests(0)}) as port:
        address = wanted.url.split("/", 3)
        path = address[3] if len(address) > 3 else ""
        run = measure(replace(wanted, url=f"http://127.0.0.1:{port}/{path}"), trial)
    if not run.good or not run.generator.cpu_seconds:
        raise NotMeasured(f"the generator had no answer from its own sink: {run.tally}")
    cores = min(load.processes, len(os.sched_getaffinity(0)))
    return run.answers / run.generator.cpu_seconds * cores


@contextlib.contextmanager
def sink(sizes: set[int]) -> Iterator[int]:
    """The port of a process that answers whatever has one of these sizes, unread. Raises NotMeasured."""
    if len(sizes) > 1:
        sizes = {0}  # then it must look for the ends
    command = [sys.executable, "-m", "eas_bench.client.sink", str(sizes.pop())]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - for the type checker
    try:
        words = process.stdout.readline().split()
        if len(words) != 2 or words[0] != b"listening":
            raise NotMeasured("the generator's own sink didn't start")
        yield int(words[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
