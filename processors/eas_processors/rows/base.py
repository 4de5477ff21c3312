"""The part that all presets of rows share: requests are read, joined, run and split.

Requests of one batch that can be read are joined into calls of at most ``Batching.max_batch_size`` rows; a
request is never split, and one that holds more goes alone. Only those are joined whose columns hold the same
(``Columns.holding``), so that every answer is the one that the request would have alone. One that can't be
read fails alone with 400. If a call fails, its requests are run one by one, so that only the culprit fails.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import eas_sdk
from eas_processors.rows import answer
from eas_processors.rows.table import BadRows, Columns

Array = npt.NDArray[Any]
Result = eas_sdk.Response | BaseException

_JSON = {"Content-Type": "application/json"}
_LONGEST = 4096
"""Characters of a refusal."""
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Model(Protocol):
    """A loaded model; called from several threads at once."""

    @property
    def columns(self) -> Columns:
        """What its rows hold."""
        ...

    def signature(self) -> dict[str, Any]:
        """What GET answers: ``model``, ``inputs`` (names and types) and ``outputs``."""
        ...

    def run(self, rows: Array) -> Array | list[Any]:
        """One result a row, in order. ``BadRows`` when the rows are at fault."""
        ...


class RowPreset(eas_sdk.Processor):
    """A preset of rows; derive from it and define ``load``."""

    device = "cpu"

    @abstractmethod
    def load(self, model_entry: str, model_config: str) -> Model:
        """The model; whatever it raises ends the start of the instance."""

    def initialize(self, model_entry: str, model_config: str) -> None:
        """See ``eas_sdk.Processor``."""
        self.model = self.load(model_entry, model_config)
        self._signature = eas_sdk.Response(
            json.dumps(self.model.signature(), ensure_ascii=False), headers=_JSON
        )

    def process_batch(self, requests: Sequence[eas_sdk.Request]) -> Sequence[Result]:
        """See ``eas_sdk.Processor``."""
        results: list[Result | None] = [None] * len(requests)
        read: list[tuple[int, Array]] = []
        for place, request in enumerate(requests):
            if not len(request.body):  # GET has none
                results[place] = self._signature
                continue
            try:
                read.append((place, self.model.columns.read(request.body)))
            except BadRows as error:
                results[place] = _refused(error)
        for call in self._calls(read):
            for place, result in self._run(call):
                results[place] = result
        return [result for result in results if result is not None]

    def _calls(self, read: list[tuple[int, Array]]) -> Iterator[list[tuple[int, Array]]]:
        """What is run together: columns that hold the same, at most so many rows as a call should have."""
        most = self.batching.max_batch_size if self.batching is not None else 1
        calls: dict[Hashable, list[tuple[int, Array]]] = {}
        rows: Counter[Hashable] = Counter()
        for place, array in read:
            kind = self.model.columns.holding(array)
            if rows[kind] + len(array) > most and kind in calls:
                yield calls.pop(kind)
                rows[kind] = 0
            calls.setdefault(kind, []).append((place, array))
            rows[kind] += len(array)
        yield from calls.values()

    def _run(self, call: list[tuple[int, Array]]) -> Iterator[tuple[int, Result]]:
        joined = call[0][1] if len(call) == 1 else np.concatenate([array for _, array in call])
        try:
            results = _checked(self.model.run(joined), len(joined)) if len(joined) else []
        except Exception as error:  # noqa: BLE001 - a framework may raise anything
            if len(call) > 1:
                if self.batching is not None:
                    self.batching.raised(error, len(call))
                for one in call:
                    yield from self._run([one])
            else:
                yield call[0][0], _refused(error) if isinstance(error, BadRows) else error
            return
        if self.batching is not None and len(joined):
            self.batching.ran(len(joined))
        at = 0
        for place, array in call:
            part = results[at : at + len(array)]
            at += len(array)
            yield place, _answered(part)


def _checked(results: Array | list[Any], rows: int) -> Array | list[Any]:
    if len(results) != rows:
        raise RuntimeError(f"the model gave {len(results)} results for {rows} rows")
    return results


def _answered(results: Array | list[Any]) -> Result:
    try:
        return eas_sdk.Response(answer.encode(results), headers=_JSON)
    except Exception as error:  # noqa: BLE001 - results that JSON can't say are this request's failure
        return error


def _refused(error: Exception) -> eas_sdk.Response:
    """The client's fault: an answer, without a trace in the log."""
    text = f"{str(error)[:_LONGEST]}\n".encode(errors="replace")  # it may quote what was sent
    return eas_sdk.Response(text, 400, _TEXT)
