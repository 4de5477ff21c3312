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
from typing import Any, Dict, Final, List, Tuple

from eas_host import wire
from eas_host.worker import Answer, Caller, Server, leave, microseconds
from eas_sdk._batches import Call, GivenUp, Outcome, answer_all
from eas_sdk.request import Request

_CANCELLED: Final = wire.CANCELLED
_SEPARATE: Final = wire.SEPARATE_BYTES
_is_over: Final = operator.attrgetter("cancelled")


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


class BatchServer(Server):
    """The worker threads of a host whose service batches."""

    def __init__(self, call: Call, channel: Dict[str, Any], threads: int) -> None:
        super().__init__(Batches(call), channel, threads)
        self._batch = call

    def _caller(self) -> Caller:
        """See ``Server``."""
        return self._run_unit

    def _run_unit(self, fields: Tuple[Any, ...], payload: bytes) -> float:
        """Answer a unit; how long the processor took, in seconds."""
        slots, requests = self._begin(fields[2], payload)
        if not requests:
            self.outbox.put_unit(0, _now(), (0, 0, 0, 0), (), ())
            return 0.0
        begun = self.since = _now()
        try:
            outcomes, ran = answer_all(self._batch, requests, _is_over, self._in_part)
        except (SystemExit, KeyboardInterrupt) as leaving:
            self.outbox.flush()
            leave(leaving)
        took = _now() - begun
        took_us = microseconds(took)
        plain: List[int] = []
        bodies: List[Any] = []
        lacking = 0
        for slot, request, outcome in zip(slots, requests, outcomes):
            if outcome.__class__ is tuple:
                status, body, lines = outcome
                if status == 200 and not lines and len(body) < _SEPARATE:
                    plain.append(slot)
                    bodies.append(body)
                    continue
            lacking += self._answer(slot, request, outcome, took_us, begun)
        faults, counts = self.faults, (len(requests), *ran)
        large = 0 if faults is None or not faults.tried else faults.collect(len(requests), lacking)
        self.outbox.put_unit(took_us, begun, counts, plain, bodies, too_large=large)
        return took

    def _in_part(self, error: BaseException, requests: int) -> None:
        """A call of several requests raised; they are called in smaller parts."""
        if self.faults is not None:
            self.faults.in_part(error, requests)

    def _begin(self, count: int, payload: bytes) -> Tuple[List[int], List[Request]]:
        """Mark all requests of a unit begun; those that weren't withdrawn by then, and their slots."""
        marks, board, prefix, columns = self.marks, self.board, self.prefix, wire.unit(count)
        told = columns.unpack_from(payload)
        slots, head_sizes, numbers, deadlines, sizes, offsets = (
            told[at : at + count] for at in range(0, len(told), count)
        )
        head_at = columns.size
        body_at = head_at + sum(head_sizes)
        taken: List[int] = []
        requests: List[Request] = []
        for slot, head_size, number, deadline, size, offset in zip(
            slots, head_sizes, numbers, deadlines, sizes, offsets
        ):
            head = payload[head_at : head_at + head_size]
            head_at += head_size
            body: Any
            if offset < 0:
                body = payload[body_at : body_at + size]
                body_at += size
            else:
                body = self.bodies[offset : offset + size]
            mark = slot + slot
            marks[mark] = 1
            if marks[mark + 1]:
                self.skip(slot)
                continue
            taken.append(slot)
            requests.append(Request(head, body, deadline, prefix, number, board, _CANCELLED + slot))
        return taken, requests

    def _answer(self, slot: int, request: Request, outcome: Outcome, took_us: int, begun: float) -> bool:
        """Queue one answer of a unit that isn't plain; whether it says that GPU memory lacked."""
        if isinstance(outcome, BaseException):
            gone = outcome.__class__ is GivenUp  # nothing went wrong, and nobody reads it
            code, text = (400, b"") if gone else self.blame(outcome, request.request_id)
            self.outbox.put(wire.RAISED, slot, code, took_us, begun, text)
            return code != 400
        status, body, lines = outcome
        if lines or len(body) >= wire.SPILL_BYTES:
            self.outbox.put_full(slot, status, took_us, begun, lines, body)
        else:
            self.outbox.put(wire.REPLY, slot, status, took_us, begun, body)
        return False
