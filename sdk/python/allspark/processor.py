"""``BaseProcessor``, as far as EAS documents it."""

from __future__ import annotations

import operator
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

from allspark.properties import default_properties
from eas_sdk import _runtime


class _Default(int):
    """A number that nobody wrote: told apart from the same number given by the caller."""


_THREADS = _Default(5)
ENDPOINT = "ALLSPARK_ENDPOINT"
"""Variable that tells the script's run behind the engine which endpoint the engine already listens on."""


class Settings(NamedTuple):
    """What the constructor was given. Private between this class and the host."""

    worker_threads: int = _THREADS
    worker_processes: int = 1
    endpoint: Optional[str] = None
    io_threads: Optional[int] = None
    unknown: Tuple[str, ...] = ()

    @property
    def threads_given(self) -> bool:
        """Whether the caller named a number of threads."""
        return self.worker_threads is not _THREADS


class BaseProcessor:
    """Derive from it, define ``process``, and call ``run()`` under ``if __name__ == "__main__":``.

    Every method may be left out. A subclass with a constructor of its own need not call this one.

    Args:
        worker_threads: threads that call ``process`` at the same time; ``rpc.worker_threads`` of service.json
            beats it.
        worker_processes: more than 1 makes so many processes of one instance; each runs ``initialize`` once.
        endpoint: ``"host:port"`` or ``":port"`` to listen on when the script is started by hand. Under the
            engine, which listens on its own port, it has no effect.
        io_threads: told to the engine as ``rpc.io_threads``; shown in its status.
        unknown: arguments of other versions are accepted, with a warning in the log.

    Raises:
        TypeError: a number that is none.
        ValueError: a number below 1.
    """

    def __init__(
        self,
        worker_threads: int = _THREADS,
        worker_processes: int = 1,
        endpoint: Optional[str] = None,
        io_threads: Optional[int] = None,
        **unknown: object,
    ) -> None:
        if endpoint is not None and not isinstance(endpoint, str):
            raise TypeError(f'endpoint is a text such as "0.0.0.0:8079", not {endpoint!r}')
        self._allspark_settings = Settings(
            worker_threads if worker_threads is _THREADS else _count("worker_threads", worker_threads),
            _count("worker_processes", worker_processes),
            endpoint,
            None if io_threads is None else _count("io_threads", io_threads),
            tuple(sorted(unknown)),
        )

    def initialize(self) -> None:
        """Load the model. Called once in each process before it serves; what it raises ends the start."""

    def process(self, data: bytes) -> Any:
        """Answer one request; called from ``worker_threads`` threads at the same time.

        Args:
            data: the request's body, unchanged.

        Returns:
            ``(body, status)``: body bytes (or str, a number, anything with ``str()``), status 0 or 200 for
            success, else the HTTP status, 201 to 599; every other number becomes 400.

        What it raises becomes status 400 with the exception's message.
        """
        raise NotImplementedError(f"{type(self).__name__} has no process()")

    def pre_proccess(self, data: Any) -> Any:
        """For the subclass' own use; the engine doesn't call it. EAS spells the name like this."""

    def post_process(self, data: Any) -> Any:
        """For the subclass' own use; the engine doesn't call it."""

    def get_model_path(self) -> str:
        """Absolute path of the unpacked model (``model_path`` of service.json), ``""`` when there is none.

        By hand: the environment variable ``MODEL_PATH``, or ``""``.
        """
        runtime = _runtime.current()
        return os.environ.get("MODEL_PATH", "") if runtime is None else runtime.model_path

    def run(self) -> None:
        """Serves until the engine says stop; then returns.

        Started by hand (``python app.py``) it never returns: the process becomes an engine that listens on
        ``endpoint``, or on 127.0.0.1:8080, takes requests on any path, and runs this script behind it.
        """
        runtime = _runtime.current()
        if runtime is not None:
            runtime.serve_script(self)
            return
        from allspark import local

        local.become_engine(settings_of(self).endpoint)


def settings_of(processor: BaseProcessor) -> Settings:
    """The constructor's values; the defaults for a subclass that never called it."""
    return getattr(processor, "_allspark_settings", Settings())


def properties_of(processor: BaseProcessor) -> Dict[str, str]:
    """What the engine is told about the processor beside threads and processes."""
    io_threads = settings_of(processor).io_threads
    given = {} if io_threads is None else {"rpc.io_threads": str(io_threads)}
    given.update(default_properties().as_text())
    return given


def _count(name: str, value: object) -> int:
    """``value`` as a number of at least 1."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is a number, not {value!r}")
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number
