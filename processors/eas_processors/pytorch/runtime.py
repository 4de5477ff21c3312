"""The few things of CUDA that cards.py and graphs.py need, so that both can be tested without a card."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Protocol

import torch

Replay = Callable[[], None]
"""Computes a captured call once more, from and into the same memory; returns before it is done."""

_PORTABLE = 0x01
_READ_ONLY = 0x08
"""Flags of ``cudaHostRegister``: for all contexts; memory that the card only reads."""


class Runtime(Protocol):
    """A card, as this package uses it.

    Attributes:
        device: torch's name of it.
    """

    device: torch.device

    def stream(self) -> Any:
        """A new stream: what is put into it happens in its order, beside what is in others."""
        ...

    def on(self, stream: Any) -> contextlib.AbstractContextManager[object]:
        """In this thread and block, everything goes into the stream."""
        ...

    def finish(self, stream: Any) -> None:
        """Wait for everything in it. Errors: whatever went wrong on the card."""
        ...

    def settle(self) -> None:
        """Wait for everything on the card, in whatever stream. Errors: as of ``finish``."""
        ...

    def pinned(self, size: int) -> torch.Tensor:
        """Bytes in memory of the machine that the card reads and writes by itself."""
        ...

    def pool(self) -> Any:
        """Memory of the card for graphs that never run at the same time."""
        ...

    def capture(self, call: Callable[[], object], stream: Any, pool: Any) -> tuple[object, Replay]:
        """Record a call instead of running it: its result, whose memory each replay fills anew.

        Errors: whatever torch says of calls that can't be captured.
        """
        ...

    def register(self, address: int, size: int) -> str:
        """Let the card read memory of this process by itself; empty, or why it can't."""
        ...

    def unregister(self, address: int) -> None:
        """End that, before the memory is unmapped."""
        ...


class Cuda:
    """The card that the process was given; with several, the first."""

    def __init__(self) -> None:
        self.device = torch.device("cuda", torch.cuda.current_device())

    def stream(self) -> Any:
        """See ``Runtime``."""
        stream: Any = torch.cuda.Stream  # without type hints
        return stream(self.device)

    def on(self, stream: Any) -> contextlib.AbstractContextManager[object]:
        """See ``Runtime``."""
        return torch.cuda.stream(stream)

    def finish(self, stream: Any) -> None:
        """See ``Runtime``."""
        stream.synchronize()

    def settle(self) -> None:
        """See ``Runtime``."""
        torch.cuda.synchronize(self.device)

    def pinned(self, size: int) -> torch.Tensor:
        """See ``Runtime``. torch keeps such memory and gives it out again once the card is done with it."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def pool(self) -> Any:
        """See ``Runtime``."""
        return torch.cuda.graph_pool_handle()

    def capture(self, call: Callable[[], object], stream: Any, pool: Any) -> tuple[object, Replay]:
        """See ``Runtime``. Other threads may go on meanwhile."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            result = call()
        return result, graph.replay

    def register(self, address: int, size: int) -> str:
        """See ``Runtime``."""
        said: list[str] = []

        def register() -> None:
            library = _library()
            status = library.cudaHostRegister(address, size, _PORTABLE | _READ_ONLY)
            if int(status):
                said.append(f"cudaHostRegister: {library.cudaGetErrorString(status)} ({int(status)})")

        # CUDA keeps a failure for the thread that had it, and torch would take it for its next kernel's.
        thread = threading.Thread(target=register, name="register")
        thread.start()
        thread.join()
        return "".join(said)

    def unregister(self, address: int) -> None:
        """See ``Runtime``. What it says is nobody's business any more: the process is about to end."""
        _library().cudaHostUnregister(address)


def why_none() -> str:
    """Why torch sees no card, in its words: it has none, no driver, or MPS that doesn't let it in."""
    initialise: Any = torch.cuda.init  # without type hints
    try:
        initialise()
    except Exception as error:  # noqa: BLE001 - a RuntimeError or AssertionError, as the case may be
        return str(error).partition("\n")[0]
    return "there is none"


def _library() -> Any:
    """The CUDA runtime that torch brings."""
    library: Any = torch.cuda.cudart  # without type hints
    return library()
