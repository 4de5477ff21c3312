"""What the supervisor is told about the service, combined with what a processor's code says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eas_engine.supervisor.control import Hello
from eas_engine.supervisor.launch import Program

DEFAULT_THREADS = 5
"""``rpc.worker_threads``, and allspark's own default."""

DEFAULT_KEEPALIVE_MS = 5000
"""``rpc.keepalive``."""

KEEPALIVE_PROPERTY = "rpc.keepalive"
"""allspark: ``default_properties().put('rpc.keepalive', 60000)``, milliseconds, number or string."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset processor: ``eas_processors.<family>`` serves it.

    ``code`` is that of service.json; ``device`` is ``cpu`` or ``gpu``; ``served_by`` and ``install`` are for
    messages: the framework, and the command that installs it.
    """

    code: str
    family: str
    device: str
    served_by: str
    install: str


@dataclass(frozen=True, slots=True)
class Processor:
    """What a host is to load; paths are absolute. Goes into the start message as it is."""

    entry: str
    entry_class: str | None = None
    processor_type: str = "python"
    """``python``, ``cpp``, ``java``, or ``preset``."""
    preset: Preset | None = None
    """Which, for ``processor_type`` ``preset``."""
    processor_dir: str = ""
    model_path: str = ""
    model_entry: str = ""
    model_config: str = ""
    warm_up: str = ""
    """A file or directory of requests, sent to every instance before it is ready; empty: none."""
    warm_up_count: int = 5
    """How often each of them is sent."""
    cpp_batch: bool = False
    """Whether a C library's ``batch_process`` is used (``rpc.cpp_batch``)."""
    main_class: str = ""
    """The Java class (``processor_mainclass``)."""
    class_path: tuple[str, ...] = ()
    """Jars and directories that hold its classes."""
    java_opts: tuple[str, ...] = ()
    """Options of the JVM (``java_opts``)."""
    memory_mb: int | None = None
    """Memory of one instance (``metadata.memory``), which the heap of a JVM follows; None: no limit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One service, as far as its instances are concerned.

    Attributes:
        service: its name; instances are called ``<service>-0`` and so on.
        instances: how many (``metadata.instance``).
        threads: ``rpc.worker_threads`` of service.json; None: the processor's code decides, else 5.
        keepalive_ms: ``rpc.keepalive`` of service.json; None: as above, else 5000.
        enable_sigterm: ``rpc.enable_sigterm``.
        crash_block: ``runtime.enable_crash_block``.
        grace: ``eas.termination_grace_period``, seconds.
    """

    service: str
    program: Program
    processor: Processor
    instances: int = 1
    threads: int | None = None
    keepalive_ms: int | None = None
    enable_sigterm: bool = False
    crash_block: bool = False
    grace: float = 30.0


def effective_threads(settings: Settings, hello: Hello) -> int:
    """Worker threads of one host.

    service.json beats the constructor, which beats the default. With several processes (``worker_processes``)
    each handles its requests with one thread, whatever else was said (contract: custom Python processors).
    """
    if hello.processes > 1:
        return 1
    return settings.threads or hello.threads or DEFAULT_THREADS


def effective_keepalive(settings: Settings, properties: Mapping[str, str]) -> int:
    """Milliseconds. service.json beats allspark's property, which beats 5000; nonsense counts as unset."""
    if settings.keepalive_ms is not None:
        return settings.keepalive_ms
    try:
        said = int(float(properties.get(KEEPALIVE_PROPERTY, "")))
    except (ValueError, OverflowError):
        return DEFAULT_KEEPALIVE_MS
    return said if said > 0 else DEFAULT_KEEPALIVE_MS
