"""Which requests go through the model together.

Requests of one batch are joined when their signature is ``batched`` and join.py finds their inputs alike; a
call holds at most ``max_batch_size`` rows. What a signature says is not enough to cut outputs into rows, so
it is tested:

*Habits.* For each signature, filter and shape of inputs the runner remembers whether outputs follow the rows.
It believes it after two calls of different numbers of rows in which dimension 0 of every output was the
number of rows: one call could be chance. Until then it makes the calls that prove it (the first request of a
batch goes alone). A call that shows the contrary is repeated one request at a time, and so are all later
ones. The same holds for padded dimensions that an output doesn't keep (join.py).

*Errors.* A joined call that raises is repeated in halves, down to the request that did it: it gets its own
exception, the others their answers. If nobody gets one, it was the joining, which such calls are spared
from then on.

Thread safety: ``run`` is called from several threads. They share the habits, of which each is a few flags
that only ever go one way; the worst that a race costs is a call that proves what another one has just proved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import eas_sdk
from eas_processors.tensors import join
from eas_processors.tensors.check import described
from eas_processors.tensors.model import Arrays, Call, CountingModel, JoiningModel, Model, Signature
from eas_processors.tensors.stacked import Stacks

_MOST_HABITS = 1000


class Withdrawn(Exception):
    """Nobody waits for the answer of this request any more."""


@dataclass(slots=True)
class Habit:
    """What was seen of one signature: see the module's text.

    Attributes:
        rows: of the first call seen.
        proven: outputs have followed two different numbers of rows.
        refuted: an output had another number of rows.
        pads: no output has an unknown dimension that the inputs don't explain.
    """

    rows: int | None = None
    proven: bool = False
    refuted: bool = False
    pads: bool = True

    def see(self, rows: int, outputs: Arrays) -> bool:
        """Learn from a call; whether its outputs had as many rows as it."""
        if not join.has_rows(outputs, rows):
            self.refuted = True
        elif self.rows is None:
            self.rows = rows
        elif self.rows != rows:
            self.proven = True
        return not self.refuted

    def may_join(self, total: int) -> bool:
        """Whether a joined call of so many rows would either be believed or prove something."""
        return not self.refuted and (self.proven or self.rows not in {None, total})


@dataclass(slots=True)
class Work:
    """One request on its way through the model.

    Attributes:
        request: asked whether anybody still waits for it.
        call: decoded and checked.
        signature: the one that the call names.
        rows: what the call holds of dimension 0; 1 if that isn't the batch.
        habit: what is known of calls like this one; None: it can't be joined.
        result: the outputs or an exception, once it has run.
    """

    request: eas_sdk.Request
    call: Call
    signature: Signature
    rows: int = 1
    habit: Habit | None = None
    result: Arrays | Exception | None = None


class Runner:
    """Runs calls through a model, joined where that is right.

    Args:
        model: the model. One with ``most_rows`` is never joined to more, whatever the service says: that may
            change after the model was loaded.
        batching: the service's; None: every request goes alone.
    """

    def __init__(self, model: Model, batching: eas_sdk.Batching | None) -> None:
        self._model = model
        self._batching = batching
        self._joining = model if isinstance(model, JoiningModel) else None
        self._counting = model if isinstance(model, CountingModel) else None
        self._bound: int | None = getattr(model, "most_rows", None)
        self._habits: dict[Hashable, Habit] = {}

    def run(self, works: Sequence[Work]) -> None:
        """Give every work its result."""
        if self._batching is None:
            for work in works:
                self._alone(work)
            return
        most = self._batching.max_batch_size
        if self._bound is not None:
            most = min(most, self._bound)
        for group in self._groups(works):
            for part in join.chunks([work.rows for work in group], most):
                self._together(group[part])

    def _groups(self, works: Sequence[Work]) -> list[list[Work]]:
        """Works that can be joined; those that can't are groups of one."""
        groups: dict[Hashable, list[Work]] = {}
        for work in works:
            self._know(work)
            key: Hashable = id(work)
            if work.habit and not work.habit.refuted:
                inputs = () if work.habit.pads else self._alike(work, padding=False)
                key = (id(work.habit), work.call.output_filter, inputs)
            groups.setdefault(key, []).append(work)
        return list(groups.values())

    def _know(self, work: Work) -> None:
        """Find rows and habit. No rows at all: what a model makes of that says nothing about others."""
        rows = join.row_count(work.call.inputs) if work.signature.batched else None
        if rows is None:
            return
        work.rows = rows
        if rows:
            if len(self._habits) > _MOST_HABITS:  # clients choose shapes and filters
                self._habits.clear()
            padding = self._batching is not None and self._batching.padding
            key = (work.signature, frozenset(work.call.output_filter), self._alike(work, padding=padding))
            work.habit = self._habits.setdefault(key, Habit())

    @staticmethod
    def _alike(work: Work, *, padding: bool) -> Hashable:
        """Equal for works whose inputs can be joined."""
        return join.join_key(work.call.inputs, work.signature, padding=padding)

    def _together(self, works: list[Work]) -> None:
        """Run joinable works in as few calls as the habit allows."""
        waiting = [work for work in works if not self._withdrawn(work)]
        while waiting:
            rows = sum(work.rows for work in waiting)
            total = join.padded_size(rows, self._sizes())
            habit = waiting[0].habit
            if habit is None or (len(waiting) == 1 and total == rows):
                return self._each(waiting)
            if habit.may_join(total):
                return self._joined(waiting, total, habit)
            if habit.refuted or habit.rows is not None:
                return self._each(waiting)
            self._alone(waiting.pop(0))  # the first call ever, half of the proof
        return None

    def _sizes(self) -> Sequence[int]:
        sizes = self._batching.sizes if self._batching else ()
        return sizes if self._bound is None else [size for size in sizes if size <= self._bound]

    def _each(self, works: list[Work]) -> None:
        for work in works:
            self._alone(work)

    def _withdrawn(self, work: Work) -> bool:
        if work.request.cancelled:
            work.result = Withdrawn("the client has left, or was answered by the engine")
            return True
        return False

    def _alone(self, work: Work) -> None:
        """Run one request as it came."""
        try:
            outputs = self._logged([work], work.call.inputs, lambda: self._run(work))
        except Exception as error:  # noqa: BLE001 - it is this request's answer
            work.result = error
            self._raised(error, 1)
            return
        work.result = outputs
        if self._batching is None:
            return
        self._batching.ran(work.rows)
        if work.habit:
            work.habit.see(work.rows, outputs)
            if self._batching.padding and work.habit.pads:
                self._cuts(outputs, [work], work.habit)  # for what it says of the outputs' unknown dimensions

    def _joined(self, works: list[Work], total: int, habit: Habit) -> None:
        """Run several requests, or one and its padding, in one call."""
        first = works[0]
        calls = [work.call.inputs for work in works]
        done = self._stacked(works, calls, total)
        if isinstance(done, bool):
            self._halves(works)
            refutes = done and not habit.proven
            if refutes and not any(isinstance(work.result, Exception) for work in works):
                habit.refuted = True  # nobody's but the joining's: a model built for one row, for instance
            return None
        inputs, outputs = done
        if self._batching:
            self._batching.ran(total, join.padding_rows(calls, inputs, total))
        if not habit.see(total, outputs):
            return self._each(works)
        back: join.Cuts | None = {}
        if any(axis.padded for axis in join.axes(calls, first.signature)):
            back = self._cuts(outputs, works, habit)
        if back is None:
            return self._by_shape(works)
        at = 0
        for index, work in enumerate(works):
            behind = at + work.rows
            work.result = join.cut(outputs, slice(at, behind), index, back)
            at = behind
        return None

    def _run(self, work: Work) -> Arrays:
        return self._model.run(work.signature, work.call.inputs, work.call.output_filter)

    def _run_joined(self, first: Work, inputs: Stacks) -> Arrays:
        """One call with the inputs of several; they have signature and filter in common."""
        if self._joining is not None:
            return self._joining.run_joined(first.signature, inputs, first.call.output_filter)
        return self._model.run(first.signature, join.joined(inputs), first.call.output_filter)

    def _logged(self, works: list[Work], inputs: Arrays | Stacks, run: Callable[[], Arrays]) -> Arrays:
        """One call of the model; a line in the log if a request's ``debug_level`` asks for it."""
        if not any(work.call.debug_level > 0 for work in works):
            return run()
        if self._counting is not None:
            self._counting.copied = 0
        started = time.perf_counter()
        outputs = run()
        told = [f"{(time.perf_counter() - started) * 1000:.3f} ms"]
        if self._counting is not None:
            sent = sum(len(work.request.body) for work in works)
            told.append(f"{self._counting.copied} bytes of {sent} copied in memory")
        names = ", ".join(work.request.request_id for work in works)
        print(f"{names}: inputs {_side(inputs)}; outputs {_side(outputs)}; {'; '.join(told)}")  # noqa: T201 - the log
        return outputs

    def _stacked(self, works: list[Work], calls: list[Arrays], total: int) -> tuple[Stacks, Arrays] | bool:
        """Inputs and outputs of one call; when that raised, whether the joining may be to blame.

        What was raised is forgotten here: it holds the call's tensors, and with them memory of the GPU.
        """
        try:
            inputs = join.stack(calls, total)
            return inputs, self._logged(works, inputs, lambda: self._run_joined(works[0], inputs))
        except Exception as error:  # noqa: BLE001 - the halves say whose it is
            self._raised(error, len(works))
            return not eas_sdk.is_gpu_trouble(error)

    def _raised(self, error: Exception, requests: int) -> None:
        if self._batching is not None:
            self._batching.raised(error, requests)

    def _halves(self, works: list[Work]) -> None:
        """After an error: each half by itself."""
        if len(works) == 1:
            self._alone(works[0])
            return
        middle = len(works) // 2
        self._together(works[:middle])
        self._together(works[middle:])

    def _by_shape(self, works: list[Work]) -> None:
        """After padding that can't be undone: only requests of the same shapes together."""
        groups: dict[Hashable, list[Work]] = {}
        for work in works:
            groups.setdefault(self._alike(work, padding=False), []).append(work)
        for group in groups.values():
            self._together(group)

    def _cuts(self, outputs: Arrays, works: list[Work], habit: Habit) -> join.Cuts | None:
        """What to cut back in the outputs; None when that can't be known."""
        signature, call = works[0].signature, works[0].call
        axes = join.axes([work.call.inputs for work in works], signature)
        try:
            return join.cuts(outputs, signature, axes, filtered=bool(call.output_filter))
        except join.AmbiguousDimension:
            return None
        except join.UnexplainedDimension:
            habit.pads = False
            return None


def _side(arrays: Arrays | Stacks) -> str:
    """Inputs or outputs, for the log."""
    named: Iterable[tuple[join.Key, Any]] = join.items(arrays)
    return ", ".join(f"{key}: {described(array)}" for key, array in named)
