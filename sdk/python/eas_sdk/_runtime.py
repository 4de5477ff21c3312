"""Where ``allspark`` finds the engine. Private.

A processor's process has exactly one runtime: the host sets it before the processor's code is loaded.
Without an engine there is none, and ``allspark`` starts an engine by itself. It is module-level state,
because what needs it (``run``, ``get_model_path``) is called by users' code and has no other way to be
told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional

if TYPE_CHECKING:
    from typing import Protocol

    from allspark import BaseProcessor

    class Runtime(Protocol):
        """What the host offers to ``allspark``."""

        @property
        def model_path(self) -> str:
            """Absolute path of the unpacked model, ``""`` without one."""

        def serve_script(self, processor: BaseProcessor) -> None:
            """Initialises the processor and serves with it until the engine says stop."""


_installed: List[Runtime] = []


def install(runtime: Runtime) -> None:
    """Makes ``runtime`` the runtime of this process."""
    _installed[:] = [runtime]


def current() -> Optional[Runtime]:
    """The runtime of this process; None when it was not started by an engine."""
    return _installed[0] if _installed else None
