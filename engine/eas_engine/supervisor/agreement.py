"""What the engine and a host have agreed upon: what the processor's code asks for, and what it gets."""

from __future__ import annotations

from eas_engine.supervisor.control import Hello, Ready
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import Running
from eas_engine.supervisor.settings import Settings, effective_keepalive, effective_threads, lacks_batch_call


class Agreement:
    """Of one host, by its last hello; nothing before the first.

    Attributes:
        hello: what it said.
        threads: worker threads that it was given.
    """

    def __init__(self, instance: str, hooks: Hooks) -> None:
        self._instance, self._hooks = instance, hooks
        self.hello: Hello | None = None
        self.threads: int | None = None

    def __repr__(self) -> str:
        return f"<Agreement with {self._instance}: {self.threads} threads>"

    @property
    def processes(self) -> int:
        """That the processor's code wants for its instance."""
        return self.hello.processes if self.hello else 1

    @property
    def python(self) -> str:
        """The version of its interpreter; empty when it isn't known."""
        return self.hello.python if self.hello else ""

    @property
    def mounts(self) -> str | None:
        """Why its mounts aren't visible to it; None when that isn't known."""
        return self.hello.mounts if self.hello else None

    def greet(self, hello: Hello, running: Running, settings: Settings) -> str:
        """Answer a hello. Why it can't serve, and was told to stop; empty when it loads."""
        if self.hello is None:
            for warning in hello.warnings:
                self._hooks.log("processor_warning", instance=self._instance, warning=warning)
        self.hello = hello
        for lost in running.settle(hello.limits).lacking():
            self._hooks.warn("limit_not_enforced", instance=self._instance, limit=lost)
        lacking = lacks_batch_call(settings.processor, hello)
        if lacking:
            running.send({"type": "stop"})
            return lacking
        self.threads = effective_threads(settings, hello)
        keepalive = effective_keepalive(settings, hello.properties)
        self._hooks.on_properties(keepalive)
        running.send({"type": "load", "threads": self.threads, "keepalive_ms": keepalive})
        return ""

    def complete(self, ready: Ready, settings: Settings) -> None:
        """It is ready, and may have said more of what it asks for."""
        said = self.hello.properties if self.hello else {}
        self._hooks.on_properties(effective_keepalive(settings, {**said, **ready.properties}))
