"""``model_config`` of the presets: which keys each one knows, and what may stand there.

The presets read it in the instance (``eas_processors.model_config``), long after the model was fetched; the
engine, which imports none of them, says the same when it reads the file. A test holds the two against each
other, and against the pages of ``docs/presets/``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from eas_engine.records import dataclass
from eas_engine.spec.problems import shown

_MOST_SUGGESTIONS: Final = 30
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Key:
    """What may stand at a key.

    Attributes:
        kind: the type of the value.
        least: the smallest number; in a list, of each of its items.
        one_of: the only texts; empty: any.
        items: the type of a list's items.
        length: of a list; None: any.
    """

    kind: type[bool | int | str | list[Any]]
    least: int | None = None
    one_of: tuple[str, ...] = ()
    items: type[int | str] | None = None
    length: int | None = None

    @property
    def expected(self) -> str:
        """In words."""
        if self.one_of:
            return f"one of {', '.join(self.one_of)}"
        if self.items is not None:
            count = "a list of" if self.length is None else f"a list of {self.length}"
            return f"{count} {_MANY[self.items]}{self._at_least}"
        return f"{_ONE[self.kind]}{self._at_least}"

    @property
    def _at_least(self) -> str:
        return "" if self.least is None else f", at least {self.least}"

    def takes(self, value: object) -> bool:
        """Whether this value may stand there."""
        if isinstance(value, list):
            right = self.length is None or len(value) == self.length
            return self.kind is list and right and all(self._fits(one, self.items) for one in value)
        return self.kind is not list and self._fits(value, self.kind)

    def _fits(self, value: object, kind: type | None) -> bool:
        """Whether a single value is of this type (True is no number), and within the limits."""
        if type(value) is not kind:
            return False
        small = isinstance(value, int) and self.least is not None and value < self.least
        return not small and (not self.one_of or value in self.one_of)


_ONE: Final[Mapping[type, str]] = {bool: "true or false", int: "a whole number", str: "a text"}
_MANY: Final[Mapping[type, str]] = {int: "whole numbers", str: "texts"}

_FLAG: Final = Key(bool)
_COUNT: Final = Key(int, least=1)
_TEXT: Final = Key(str)
_TEXTS: Final = Key(list, items=str)
_THREADS: Final = {"intra_op_threads": _COUNT, "inter_op_threads": _COUNT}
_METHODS: Final = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform")
_FLOATS: Final = ("float32", "float16", "bfloat16")

KEYS: Final[Mapping[str, Mapping[str, Key]]] = {
    "tensorflow": {**_THREADS, "signature_name": _TEXT, "tags": _TEXTS},
    "pytorch": {
        "batched": _FLAG,
        "compile": _FLAG,
        "cuda_graphs": _FLAG,
        "dtype": Key(str, one_of=_FLOATS),
        **_THREADS,
    },
    "onnx": {"batched": _FLAG, **_THREADS},
    "caffe": {
        "batched": _FLAG,
        "nets": _COUNT,
        "intra_op_threads": _COUNT,
        "prototxt": _TEXT,
        "caffemodel": _TEXT,
    },
    "pmml": {"defaults": _FLAG},
    "xgboost": {
        "output_margin": _FLAG,
        "iteration_range": Key(list, least=0, items=int, length=2),
        "intra_op_threads": _COUNT,
    },
    "lightgbm": {
        "raw_score": _FLAG,
        "start_iteration": Key(int, least=0),
        "num_iteration": Key(int, least=-1),
        "intra_op_threads": _COUNT,
    },
    "catboost": {"prediction_type": _TEXT, "intra_op_threads": _COUNT},
    "sklearn": {"method": Key(str, one_of=_METHODS), "trusted": _TEXTS, "allow_pickle": _FLAG},
}
"""By the preset's name."""

_WITH_OTHERS: Final = frozenset({"tensorflow"})
"""Presets that pass over other keys: services written for the cloud have those of its processor there."""


class Wrong(NamedTuple):
    """A complaint: ``key`` is empty when it is about the whole."""

    key: str
    message: str
    severity: Literal["error", "warning"] = "error"


def what_is_wrong(preset: str, text: str) -> Iterator[Wrong]:
    """Everything that is wrong with a ``model_config``, as the processor will get it, for this preset."""
    if not text.strip():
        return
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Wrong("", f"the preset {preset} takes a JSON object: {error}")
        return
    if not isinstance(config, dict):
        yield Wrong("", f"{shown(config)}: the preset {preset} takes a JSON object")
        return
    known = KEYS[preset]
    unknown = [key for key in config if key not in known]
    for count, key in enumerate(unknown):
        yield _unknown(preset, key, suggest=count < _MOST_SUGGESTIONS)
    for key, value in config.items():
        if key in known and not known[key].takes(value):
            given = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else shown(value, key)
            yield Wrong(key, f"{given[:_LONGEST]}: expected {known[key].expected}")


def _unknown(preset: str, key: str, *, suggest: bool) -> Wrong:
    known = KEYS[preset]
    close = _nearest(key, known) if suggest else ""
    said = f", did you mean {close}?" if close else f"; the preset {preset} knows {', '.join(sorted(known))}"
    if preset in _WITH_OTHERS:
        return Wrong(key, f"no effect: unknown{said}", "warning")
    return Wrong(key, f"unknown{said}")


def _nearest(key: str, known: Mapping[str, Key]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only files with a typo pay for it

    close = get_close_matches(key, known, n=1, cutoff=0.7) if len(key) <= _LONGEST else []
    return close[0] if close else ""
