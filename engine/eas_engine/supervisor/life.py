"""What is known of one process of a host, from its execution to its death."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from eas_engine.clock import Clock, wait_until
from eas_engine.supervisor import jvm
from eas_engine.supervisor.causes import Condemned, Evidence
from eas_engine.supervisor.control import Failed
from eas_engine.supervisor.instance import Channel
from eas_engine.supervisor.launch import Running
from eas_engine.supervisor.memory import kernel_says
from eas_engine.supervisor.observe import HostSnapshot
from eas_engine.supervisor.output import Tail

DUMP_LINES = 5000
"""Of the stacks of a host's threads, kept for whoever looks into its crash."""

_SIGKILL = -9
_LOOK = 0.02  # seconds between two looks whether it has written them


@dataclass(slots=True)
class Life:
    """One process of a host."""

    channel: Channel
    running: Running
    started: float
    """Monotonic."""
    started_at: float
    """Since the epoch."""
    ready_at: float | None = None
    tail: Tail = field(default_factory=Tail)
    answers_first: bool = False
    """It had requests when it was told to leave: they come first."""
    killed: bool = False
    failure: Failed | None = None
    gpu_fault: str = ""
    condemned: Condemned | None = None
    call_by: float = math.inf
    """When the warm-up's call must be over."""
    dumping: bool = False
    """It was asked for the stacks of its threads: what it prints from now on belongs to them."""
    dumped: bool = False
    stacks: deque[str] = field(default_factory=lambda: deque(maxlen=DUMP_LINES))
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def seen(self, host: HostSnapshot) -> HostSnapshot:
        """With what is known of this process."""
        return replace(
            host,
            pid=self.running.pid,
            started=self.started,
            started_at=self.started_at,
            killed=self.killed,
            enforced=self.running.enforcement(),
            call_by=self.call_by,
        )

    async def dump(self, clock: Clock, until: float) -> None:
        """Let it write the stacks of its threads; return when it has, is dead, or ``until`` has come."""
        self.dumping = True
        self.running.dump()
        self.running.send({"type": "dump"})
        while not self.dead.is_set() and clock.now() < until:
            if self.dumped and not self.running.dumping():
                return
            await wait_until(clock, clock.now() + _LOOK, self.dead.wait())

    def printed(self, line: str) -> None:
        """It printed a line."""
        self.tail.add(line)
        if self.dumping:
            self.stacks.append(line)

    def evidence(
        self,
        status: int,
        *,
        draining: bool,
        directory: str,
        kernel: Callable[[int, float], str] = kernel_says,
    ) -> Evidence:
        """All that can be found out about its death, now; ``directory``: where it worked."""
        lines = self.tail.lines(all_of_them=True)
        found = Evidence(
            status,
            draining=draining,
            killed=self.killed,
            failure=self.failure,
            gpu_fault=self.gpu_fault,
            condemned=self.condemned,
            lines=lines,
        )
        file = jvm.find(self.running.pid, directory, lines, self.started_at)
        if file is not None:
            found = replace(found, hs_err=str(file), hs_err_reason=jvm.reason(file))
        memory = self.running.memory()
        if self.killed or (status != _SIGKILL and memory is None):
            return found
        found = replace(found, oom_kills=self.running.oom_kills(), memory=memory)
        if status == _SIGKILL:
            found = replace(found, kernel=kernel(self.running.pid, self.started))
        return found
