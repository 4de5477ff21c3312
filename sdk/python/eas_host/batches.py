"""Worker threads where the service batches: the units of work that the engine cut, each run as one batch.

The theory of operation is ``worker``'s, with a unit where that says request: one thread runs a unit from its
first begun mark to its last answer. What a unit is, and what the engine is told of it, is in ``wire``.

* All requests of a unit are marked begun before the processor sees the first of them; the withdrawn ones are
  skipped singly. So if the process dies, the engine's rules for what was begun hold for each of them.
* Every answer of the unit has the same ``begun`` and ``process_us``: the unit's.
* Who is to blame when the batch call raises, and how much work that may cost, is in ``eas_sdk._batches``.
* ``sys.exit`` and ``KeyboardInterrupt`` end the instance, as they do without batching.
"""

from __future__ import annotations

import operator
from time import monotonic as _now
from typing import Any, Callable, Dict, List, Tuple

from eas_host import wire
from eas_host.worker import Answer, Server, describe, leave, microseconds
from eas_sdk._batches import Call, GivenUp, Outcome, answer_all
from eas_sdk.request import Request

_UNIT = (0, wire.CALL)  # the fields of a unit's frames are with each of them
_is_over = operator.attrgetter("cancelled")
_NOTHING = wire.BATCH.pack(0, 0, 0, 0)


class Batches:
    """What worker threads and warm-up call where the service batches.

    Args:
        call: the adapter's. One with a ``server(channel, threads)`` of its own makes the threads itself.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    def __call__(self, request: Request) -> Answer:
        """One request alone, as a batch of one; raises its failure."""
        (outcome,), _ = self._call([request])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def server(self, channel: Dict[str, Any], threads: int) -> Server:
        """See ``worker.serve``."""
        make = getattr(self._call, "server", None)
        server: Server = BatchServer(self._call, channel, threads) if make is None else make(channel, threads)
        return server


class Units(wire.Inbox):
    """Received bytes, cut into units of work."""

    def __init__(self) -> None:
        super().__init__(wire.REQUEST)
        self._begun: List[wire.Frame] = []  # the first frames of a unit whose last one hasn't come

    def feed(self, count: int) -> List[Any]:
        """As of any inbox; the frames of each unit stand together in the place of a frame's payload."""
        found: List[Any] = []
        unit = self._begun
        for frame in super().feed(count):
            fields = frame[0]
            if fields[1] == wire.RELEASE:
                found.append(frame)
                continue
            unit.append(frame)
            if not fields[2]:
                found.append((_UNIT, unit))
                unit = []
        self._begun = unit
        return found


class BatchServer(Server):
    """The worker threads of a host whose service batches."""

    def __init__(self, call: Call, channel: Dict[str, Any], threads: int) -> None:
        super().__init__(Batches(call), channel, threads)
        self._batch = call
        self._inbox = Units()

    def _caller(self) -> Callable[[Tuple[Any, ...], Any], float]:
        """See ``Server``."""
        return self._run_unit

    def _run_unit(self, _: Tuple[Any, ...], frames: List[wire.Frame]) -> float:
        """Answer a unit; how long the processor took, in seconds."""
        slots, requests = self._begin(frames)
        if not requests:
            self._outbox.put(wire.BATCHED, 0, 0, 0, _now(), _NOTHING)
            return 0.0
        begun = self.since = _now()
        try:
            outcomes, ran = answer_all(self._batch, requests, _is_over)
        except (SystemExit, KeyboardInterrupt) as leaving:
            self._outbox.flush()
            leave(leaving)
        took = _now() - begun
        took_us = microseconds(took)
        for slot, request, outcome in zip(slots, requests, outcomes):
            self._answer(slot, request, outcome, took_us, begun)
        counts = (min(count, 0xFFFFFFFF) for count in ran)
        told = wire.BATCH.pack(len(requests), *counts)
        self._outbox.put(wire.BATCHED, 0, 0, took_us, begun, told)
        return took

    def _begin(self, frames: List[wire.Frame]) -> Tuple[List[int], List[Request]]:
        """Mark all requests of a unit begun; those that weren't withdrawn by then, and their slots."""
        board, bodies, prefix, extent_size = self._board, self._bodies, self._prefix, wire.EXTENT.size
        slots: List[int] = []
        requests: List[Request] = []
        for (_, kind, _, slot, head_size, number, deadline), payload in frames:
            mark = slot + slot
            board[mark] = 1
            if board[mark + 1]:
                self._outbox.put(wire.SKIPPED, slot, 0, 0, 0.0, b"")
                continue
            body: Any
            if kind == wire.CALL:
                head, body = payload[:head_size], payload[head_size:]
            else:
                offset, size = wire.EXTENT.unpack_from(payload)
                head, body = payload[extent_size:], bodies[offset : offset + size]
            slots.append(slot)
            requests.append(Request(head, body, deadline, prefix, number, board, wire.CANCELLED + slot))
        return slots, requests

    def _answer(self, slot: int, request: Request, outcome: Outcome, took_us: int, begun: float) -> None:
        """Queue one answer of a unit."""
        if isinstance(outcome, BaseException):
            gone = outcome.__class__ is GivenUp  # nothing went wrong, and nobody reads it
            text = b"" if gone else describe(outcome, request.request_id)
            self._outbox.put(wire.RAISED, slot, 400, took_us, begun, text)
            return
        status, body, lines = outcome
        if lines or len(body) >= wire.SPILL_BYTES:
            self._outbox.put_full(slot, status, took_us, begun, lines, body)
        else:
            self._outbox.put(wire.REPLY, slot, status, took_us, begun, body)
