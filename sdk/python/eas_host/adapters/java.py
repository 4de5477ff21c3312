"""Processors in Java: classes of EAS's older contract, and those that implement ``eas.sdk.Processor``.

The JVM runs in this process, and the worker threads call it through JPype (``java_vm``, ``java_lane``); the
Java half is ``sdk/java/src/main/java/eas/host``. An exception that a call throws is answered with 400 and its
message, and its stack trace goes into the log. So is an ``Error`` such as ``StackOverflowError``; but for
want of memory the JVM ends (``java_vm.options``). ``System.exit`` ends the instance, as it would any program.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, TypeVar

from eas_host.adapters import Handle, java_batch, java_lane
from eas_host.adapters.java_vm import Machine, heap
from eas_host.load import Failed
from eas_sdk._batches import Call

DEFAULT_THREADS = 5
T = TypeVar("T")


class Java:
    """A processor in a JVM, which starts with it."""

    kind = "java"
    processes = 1

    def __init__(self, start: Dict[str, Any]) -> None:
        """Starts the JVM and makes the processor. ``Failed`` when one of them can't be.

        ``start`` has ``main_class``, ``class_path`` (absolute paths), ``java_opts``, ``memory_mb`` (None: no
        limit), ``model_entry``, ``model_config`` and ``threads``.
        """
        self._machine = machine = Machine(start)
        self._jpype = machine.jpype
        services = self._class("Service")
        self._service = self._try(
            "construct",
            lambda: services.make(start["main_class"], start["model_entry"], start["model_config"]),
        )
        self.threads: int = start["threads"] or DEFAULT_THREADS
        self.batch = bool(self._service.batches())
        self.warnings: List[str] = _warnings(start)

    def properties(self) -> Dict[str, str]:
        """None: the contract has no settings."""
        return {}

    def initialize(self) -> None:
        """Calls ``Load()``, or ``initialize``."""
        self._try("initialize", self._service.load)

    def handle(self) -> Handle:
        """The call of ``Process``, or ``process``."""
        native = str(self._service.kind()) == "native"
        return (java_lane.Native if native else java_lane.Plain)(self._machine, self._service)

    def handle_batch(self) -> Call:
        """The call of ``processBatch``."""
        return java_batch.Batch(self._machine, self._service)

    def dump_threads(self) -> str:
        """The stacks of all Java threads."""
        return str(self._class("Stacks").all())

    def close(self) -> None:
        """Calls ``close()`` of a native processor; the JVM itself ends with the process."""
        if self._machine.ending():
            self._machine.outlast()
        self._service.close()
        self._machine.status = 0

    def _class(self, name: str) -> Any:
        return self._jpype.JClass(f"eas.host.{name}")

    def _try(self, stage: str, action: Callable[[], T]) -> T:
        """The result of ``action``; what Java throws becomes ``Failed``."""
        try:
            return action()
        except self._jpype.JException as error:
            if isinstance(error, self._class("Unusable")):
                raise Failed(stage, str(error.getMessage())) from error
            stacks = self._class("Stacks")
            raise Failed(stage, str(stacks.line(error)), str(stacks.of(error))) from error


def _warnings(start: Dict[str, Any]) -> List[str]:
    """What the user should know about the JVM's options."""
    memory = start["memory_mb"]
    given = [one for one in start["java_opts"] if one.startswith("-Xmx")]
    if not memory or not given:
        return []
    return [
        f"{given[-1]} of java_opts replaces -Xmx{heap(memory)}m, which follows metadata.memory ({memory} MB)"
    ]
