"""Batches of Java requests: ``processBatch``, through lanes that take several requests before they run.

Each request goes through the lane's memory by itself, as a single one does (``java_lane``), and so does each
answer: a batch may hold any number of requests of any size.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple, Union

from eas_host.adapters import Raised
from eas_host.adapters.java_lane import ANSWER, FAR, NATIVE, Calls, Lane
from eas_host.batches import BatchServer
from eas_host.wire import SPILL_BYTES
from eas_host.worker import Server
from eas_sdk._batches import Outcome, Ran
from eas_sdk.request import Request


class BatchLane(Lane):
    """One thread's way into a ``BatchProcessor``."""

    def __init__(self, jpype: Any, service: Any, flags: Union[memoryview, bytes, bytearray]) -> None:
        super().__init__(jpype, service, flags)
        self.run_batch, self.clear, self._next = self._lane.runBatch, self._lane.clear, self._lane.next

    def add(self, request: Request) -> None:
        """Put a request into the batch; its body must stay until the batch has run."""
        head, prefix, number, _, slot = request.received()
        made, body = f"{prefix}-{number:04x}".encode(), request.body
        remaining = int(max(-FAR, min(request.remaining() * 1e9, FAR)))
        told = NATIVE.pack(len(body), len(head), len(made), slot, remaining)
        here = body.__class__ is bytes and len(body) <= SPILL_BYTES
        whole = b"".join((told, body, head, made) if here else (told, head, made))
        self.memory[: len(whole)] = whole
        if here:
            self._lane.add()
        else:
            self._lane.addWith(self.direct(body))

    def next(self) -> Outcome:
        """The next request's answer, or its own failure."""
        self._next()
        try:
            return self.answer(*ANSWER.unpack_from(self.memory))
        except Exception as error:  # noqa: BLE001 - Raised, or header fields that can't be sent
            return error


class Batch(Calls):
    """The call of ``processBatch(List<Request>)``."""

    def __call__(self, requests: List[Request]) -> Tuple[List[Outcome], Ran]:
        """The outcome of each request; raises what was thrown about the whole batch."""
        flags = requests[0].received()[3]
        lane = getattr(self._lanes, "lane", None)
        try:
            if lane is None or lane.flags is not flags:
                lane = self._lanes.lane = BatchLane(*self._made_of, flags)
            outcomes = self._run(lane, requests)
        except Exception as error:
            self.outlast(error)
            raise
        return outcomes, (1, len(requests), 0)

    def _run(self, lane: BatchLane, requests: List[Request]) -> List[Outcome]:
        try:
            for request in requests:
                lane.add(request)
        except Exception:
            lane.clear()
            raise
        lane.run_batch()
        lane.answer(*ANSWER.unpack_from(lane.memory))  # raises when the whole batch failed
        outcomes = [lane.next() for _ in requests]
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, Raised):
                self.outlast(outcome)
        return outcomes

    def _server(self, channel: Dict[str, Any], threads: int) -> Server:
        return BatchServer(self, channel, threads)
