"""What the supervisor is told about the service, combined with what a processor's code says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, replace
from typing import Final

from eas_engine.records import dataclass
from eas_engine.supervisor.control import Hello
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.place import Limits, Wishes

DEFAULT_THREADS = 5
"""``rpc.worker_threads``, and allspark's own default."""

DEFAULT_KEEPALIVE_MS = 5000
"""``rpc.keepalive``."""

KEEPALIVE_PROPERTY = "rpc.keepalive"
"""allspark: ``default_properties().put('rpc.keepalive', 60000)``, milliseconds, number or string."""

_BATCH_CALLS: Final[Mapping[str, str]] = {
    "native": "define process_batch(requests) in its class",
    "allspark": "derive its class from eas_sdk.Processor, and define process_batch(requests)",
    "cpp": "define process_batch (eas/processor.h), or export batch_process and set metadata.rpc.cpp_batch",
    "java": "let its class implement eas.sdk.BatchProcessor",
    "preset": "this preset answers one request at a time",
}
"""By ``Hello.kind``."""


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
class Batching:
    """``rpc.batching``: rows of a batch at most, whether shapes may be padded, the only sizes (none: any)."""

    max_batch_size: int
    padding: bool = False
    sizes: tuple[int, ...] = ()


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
    batching: Batching | None = None
    """None: requests are handed to the processor one by one."""
    main_class: str = ""
    """The Java class (``processor_mainclass``)."""
    class_path: tuple[str, ...] = ()
    """Jars and directories that hold its classes."""
    java_opts: tuple[str, ...] = ()
    """Options of the JVM (``java_opts``)."""
    memory_mb: int | None = None
    """Memory of one instance (``metadata.memory``), which the heap of a JVM follows; None: no limit."""
    cpus: int | None = None
    """Whole CPUs of one instance (``metadata.cpu``, rounded up), which a JVM is told; None: the machine's."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One service, as far as each of its instances is concerned.

    Attributes:
        service: its name; instances are called ``<service>-0`` and so on.
        threads: ``rpc.worker_threads`` of service.json; None: the processor's code decides, else 5.
        keepalive_ms: ``rpc.keepalive`` of service.json; None: as above, else 5000.
        enable_sigterm: ``rpc.enable_sigterm``.
        crash_block: ``runtime.enable_crash_block``.
        grace: ``eas.termination_grace_period``, seconds.
        limits: what one instance may use.
        wishes: where it should run.
    """

    service: str
    program: Program
    processor: Processor
    threads: int | None = None
    keepalive_ms: int | None = None
    enable_sigterm: bool = False
    crash_block: bool = False
    grace: float = 30.0
    limits: Limits = field(default_factory=Limits)
    wishes: Wishes = field(default_factory=Wishes)


def start_message(settings: Settings, instance: str, channel: Mapping[str, object]) -> dict[str, object]:
    """The first message to a host: of which instance it is, what it loads, and how it is joined to us."""
    return {
        "type": "start",
        "service": settings.service,
        "instance": instance,
        **asdict(settings.processor),
        "threads": settings.threads,
        "keepalive_ms": settings.keepalive_ms,
        "channel": channel,
    }


def without_new_processes(settings: Settings, like: Settings) -> Settings:
    """The settings with what of others' needs no new process.

    How batches are made is for those who make any; the rest of it is for hosts that start from now on.
    """
    ours, theirs = settings.processor, like.processor
    processor = replace(
        ours,
        warm_up_count=theirs.warm_up_count,
        batching=theirs.batching if ours.batching and theirs.batching else ours.batching,
    )
    return replace(
        settings,
        processor=processor,
        program=replace(settings.program, core_files=like.program.core_files),
        keepalive_ms=like.keepalive_ms,
        enable_sigterm=like.enable_sigterm,
        crash_block=like.crash_block,
        grace=like.grace,
        wishes=replace(settings.wishes, rebalancing=like.wishes.rebalancing),
    )


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


def lacks_batch_call(processor: Processor, hello: Hello) -> str:
    """What to define for ``rpc.batching``, when the processor lacks it; else empty."""
    if processor.batching is None or hello.batch:
        return ""
    define = _BATCH_CALLS.get(hello.kind, _BATCH_CALLS["native"])
    return f"metadata.rpc.batching is true, but the processor has no batch call: {define}, or turn it off"
