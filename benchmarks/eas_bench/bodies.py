"""Bodies of requests: files, texts, and rows of numbers made for the purpose.

Rows are given as ``SHAPE:TYPE[:FORM]``, such as ``8x784:float32``: an array of 8 rows of 784 numbers. FORM is

* ``npy`` (unless given): as numpy.save writes it, which the presets for tensors take;
* ``raw``: the numbers alone, little-endian, row by row, for processors that know the shape;
* ``json``: a list of lists, which the presets for rows take.

Numbers are drawn from [0, 1), whole ones from 0 to 99. The same seed gives the same numbers.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eas_bench.target import NotWanted

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMS: Final = ("npy", "raw", "json")
LARGEST: Final = 1 << 30  # bytes of an array

_SPEC = re.compile(r"(?P<shape>[0-9]+(x[0-9]+)*):(?P<type>[a-z]+[0-9]+)(:(?P<form>[a-z]+))?")
_TYPES: Final = (
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
)


def gathered(
    files: Sequence[Path], texts: Sequence[str], rows: Sequence[str], seed: int
) -> tuple[bytes, ...]:
    """All that are asked for, in this order. Raises NotWanted: one can't be had."""
    read = [_read(file) for file in files]
    chance = np.random.default_rng(seed)
    return (
        *read,
        *(text.encode(errors="surrogateescape") for text in texts),
        *(made(spec, chance) for spec in rows),
    )


def made(spec: str, chance: np.random.Generator) -> bytes:
    """The rows of a spec. Raises NotWanted: it is none."""
    found = _SPEC.fullmatch(spec)
    if found is None:
        raise NotWanted(
            f"--rows {spec}: expected SHAPE:TYPE[:FORM], such as 8x784:float32 or 8x784:float32:raw"
        )
    kind, form = found["type"], found["form"] or "npy"
    if kind not in _TYPES:
        raise NotWanted(f"--rows {spec}: no type {kind}; there are {', '.join(_TYPES)}")
    if form not in FORMS:
        raise NotWanted(f"--rows {spec}: no form {form}; there are {', '.join(FORMS)}")
    shape = [int(text) for text in found["shape"].split("x")]
    if math.prod(shape) * np.dtype(kind).itemsize > LARGEST:
        raise NotWanted(f"--rows {spec}: more than {LARGEST >> 30} GiB in one body")
    return _formed(_drawn(shape, kind, chance), form)


def _drawn(shape: list[int], kind: str, chance: np.random.Generator) -> NDArray[Any]:
    if kind.startswith("float"):
        return chance.random(shape).astype(kind)
    return chance.integers(0, 100, shape).astype(kind)


def _formed(array: NDArray[Any], form: str) -> bytes:
    if form == "json":
        return json.dumps(array.tolist(), separators=(",", ":")).encode()
    little = array.astype(array.dtype.newbyteorder("<"))
    if form == "raw":
        return little.tobytes()
    file = io.BytesIO()
    np.save(file, little)
    return file.getvalue()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise NotWanted(f"--body {file}: can't be read: {error.strerror}") from None
