"""From a processor to one call: ``handle(request) -> (status, body, header lines)``.

An adapter is all that the rest of the host knows about a kind of processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

from eas_sdk._batches import Call
from eas_sdk.request import Request

Handle = Callable[[Request], Tuple[int, Any, bytes]]
"""What worker threads call: a status of 200 to 599, a bytes-like body, header lines that each end in CRLF.

It lets the processor's exceptions through."""


class OfBody:
    """A handle of processors that never see the request, only its body: no ``Request`` need be made.

    ``call`` gets real ``bytes``.
    """

    def __init__(self, call: Callable[[bytes], Tuple[int, Any, bytes]]) -> None:
        self.call = call

    def __call__(self, request: Request) -> Tuple[int, Any, bytes]:
        """Any request, also one of warm-up."""
        body = request.body
        return self.call(body if type(body) is bytes else bytes(body))


class Raised(Exception):
    """What code in another language threw: the message for the client, and its own trace for the log."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


if TYPE_CHECKING:
    from typing import Protocol

    class Adapter(Protocol):
        """One processor that was made and is not initialised yet."""

        kind: str
        """``"native"`` or ``"allspark"``."""
        threads: int
        """Worker threads: service.json's number, else the processor's own, else 5."""
        processes: int
        """Processes that one instance should have."""
        batch: bool
        """Whether it has a batch call."""
        warnings: List[str]
        """What the user should know, one line each."""

        def properties(self) -> Dict[str, str]:
            """Settings that the processor's code has made so far."""

        def initialize(self) -> None:
            """Makes it ready; raises what the processor raises."""

        def handle(self) -> Handle:
            """The call for worker threads; asked for once, after ``initialize``."""

        def handle_batch(self) -> Call:
            """The batch call for worker threads, where ``batch`` is true; asked for instead of ``handle``."""

        def close(self) -> None:
            """Ends it; no call is running."""

        # An adapter may also have ``rebatch(batching)``: other settings of ``rpc.batching``, as those of the
        # start message, for the batches that begin from now on. Called in another thread than theirs.
        # It may have ``watch(raised)``: whom to tell of each exception of a call for several requests that it
        # repeats in smaller ones by itself (``Batching.raised``).
        # ``arena(view, fixed)``: where large bodies lie, of which the first ``fixed`` bytes are always the
        # same memory; called once, after warm-up and before the first request.
        # And it may have ``dump_threads() -> str``: the stacks of its threads that Python doesn't
        # know, for the log when a call is stuck. Called in a thread of its own while others are inside.
