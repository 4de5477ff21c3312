"""A request's rows: JSON text -> one array, checked against the model's columns.

Two forms, which may not be mixed in one request:

    [[5.1, 3.5, null], [4.9, 3.0, 1.4]]                 by position
    [{"length": 5.1, "width": 3.5}, {"length": 4.9}]    by name; f0, f1, ... where the model has no names

``null``, ``NaN`` and a name that is left out are missing values (NaN for numbers). ``true`` and ``false`` are
1 and 0. A text is a value only in a column that holds texts. A number that the model's type can't hold is an
error, because it would become infinite; so is ``Infinity``, which is the same once it has been read. An
unknown name is an error, because a misspelt one would be a missing value otherwise. Complaints name row and
column, both counted from 0.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eas_processors.json_text import loads, shown

Kind = Literal["number", "text", "any"]
Array = npt.NDArray[Any]

_MOST_NAMES = 12
_NUMBERS = {int, float, bool, type(None)}
_LARGEST = sys.float_info.max
_ARRAYS = (b"\x93NUMPY", b"PK\x03\x04")
"""How files of ``numpy.save`` and ``numpy.savez`` begin."""


class BadRows(ValueError):
    """A request that can't be read as rows of the model; the text is for who sent it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One input of the model.

    ``text`` columns take every single value, each as it is; so do ``any`` columns, but when all values of a
    request are numbers, they come as an array of numbers.
    """

    name: str
    kind: Kind = "number"
    default: Any = None
    """The value of an object that doesn't have the name; None: a missing one."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the rows of a model hold.

    Attributes:
        columns: in the model's order; empty: not known, and rows may be of any length, but all of one.
        dtype: of the array when all columns are numbers, or may be anything and all values are; else it is
            ``object``, with None for what is missing.
        lenient: names that aren't the model's are passed over.
        inferred: the model goes by what a column holds as a whole (numbers, texts, anything missing?), so
            rows are only joined with rows whose columns hold the same (``holding``).
    """

    columns: tuple[Column, ...] = ()
    dtype: type[np.floating[Any]] = np.float32
    lenient: bool = False
    inferred: bool = False
    _places: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._places.update({column.name: place for place, column in enumerate(self.columns)})

    @classmethod
    def numbers(cls, names: Sequence[str], count: int, dtype: type[np.floating[Any]] = np.float32) -> Columns:
        """``count`` columns of numbers; called f0, f1, ... when there are no ``names``."""
        given = names or [f"f{place}" for place in range(count)]
        return cls(tuple(map(Column, given)), dtype)

    @classmethod
    def anything(
        cls, names: Sequence[str], count: int, dtype: type[np.floating[Any]] = np.float64
    ) -> Columns:
        """The same with columns that hold any value."""
        given = names or [f"f{place}" for place in range(count)]
        return cls(tuple(Column(name, "any") for name in given), dtype, inferred=True)

    @property
    def numeric(self) -> bool:
        """Whether every column holds numbers."""
        return all(column.kind == "number" for column in self.columns)

    @property
    def width(self) -> int:
        """How many there are."""
        return len(self.columns)

    def read(self, body: bytes | memoryview) -> Array:
        """The rows of a request, of shape (rows, columns). Errors: BadRows."""
        rows = _parsed(body)
        if not rows:
            return np.empty((0, len(self.columns)), self.dtype if self.numeric else object)
        if isinstance(rows[0], dict):
            rows = self._by_position(rows)
        else:
            self._check_lists(rows)
        if self.numeric:
            return self._numbers(rows)
        if all(column.kind == "any" for column in self.columns):
            array = _array(rows)
            if array is not None:
                return self._typed(array)
        return self._mixed(rows)

    def holding(self, rows: Array) -> Hashable:
        """Equal for requests whose rows may be joined: the model makes the same of them as of each alone."""
        if not self.inferred or rows.dtype != object:
            return rows.shape[1:], rows.dtype
        return tuple(frozenset(map(_sort, column)) for column in rows.T)

    def _by_position(self, rows: list[Any]) -> list[list[Any]]:
        """Objects as lists."""
        if not self.columns:
            raise BadRows("row 0: an object, but the model has no names for its columns; send lists")
        defaults, places = [column.default for column in self.columns], self._places
        listed: list[list[Any]] = []
        for place, row in enumerate(rows):
            if not isinstance(row, dict):
                raise BadRows(f"row {place}: {shown(row)}, where row 0 is an object; send one form only")
            values = defaults.copy()
            for name, value in row.items():
                found = places.get(name)
                if found is not None:
                    values[found] = value
                elif not self.lenient:
                    raise BadRows(
                        f"row {place}: {shown(name)} is no column of the model; its columns: {self._names()}"
                    )
            listed.append(values)
        return listed

    def _check_lists(self, rows: list[Any]) -> None:
        """Lists of one length; at once, and one by one for the complaint."""
        width = len(self.columns) or (len(rows[0]) if isinstance(rows[0], list) else 0)
        if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
            for place, row in enumerate(rows):
                self._check_row(place, row, width)

    def _check_row(self, place: int, row: Any, width: int) -> None:
        if isinstance(row, dict):
            raise BadRows(f"row {place}: an object, where row 0 is a list; send one form only")
        if not isinstance(row, list):
            hint = "; a single row is written [[...]]" if place == 0 else ""
            raise BadRows(f"row {place}: {shown(row)}, expected a list of values or an object{hint}")
        if len(row) != width:
            wanted = f"the model takes {width}" if self.columns else f"row 0 has {width}"
            raise BadRows(f"row {place}: {len(row)} values, {wanted}")

    def _numbers(self, rows: list[list[Any]]) -> Array:
        """The common case in two calls of numpy; what those can't or mustn't do is done cell by cell."""
        array = _array(rows)
        if array is not None:
            return self._typed(array)
        if set(map(type, chain.from_iterable(rows))) <= _NUMBERS:
            with contextlib.suppress(OverflowError):
                return self._typed(np.array(rows, np.float64))
        for place, row in enumerate(rows):
            for number, value in enumerate(row):
                if value is not None and not isinstance(value, int | float):
                    raise BadRows(f"{self.cell(place, number)}: {shown(value)} is no number")
                if isinstance(value, int) and abs(value) > _LARGEST:
                    raise self._too_large(place, number, value)
        raise AssertionError("numbers that are none")  # one of the cells was to blame

    def _typed(self, array: Array) -> Array:
        """In the model's type. Errors: BadRows, for a number that it can't hold."""
        with np.errstate(over="ignore"):
            found = array.astype(self.dtype)
        infinite = np.isinf(found)
        if infinite.any():
            place, number = np.argwhere(infinite)[0]
            raise self._too_large(int(place), int(number), array[place, number].item())
        return found

    def _too_large(self, place: int, number: int, value: float) -> BadRows:
        name = np.dtype(self.dtype).name
        return BadRows(f"{self.cell(place, number)}: {shown(value)} is infinite or too large for {name}")

    def _mixed(self, rows: list[list[Any]]) -> Array:
        array = np.empty((len(rows), len(self.columns) or len(rows[0])), object)
        for place, row in enumerate(rows):
            for number, value in enumerate(row):
                array[place, number] = self._value(place, number, value)
        return array

    def _value(self, place: int, number: int, value: Any) -> Any:
        kind = self.columns[number].kind if self.columns else "any"
        if isinstance(value, dict | list):
            raise BadRows(f"{self.cell(place, number)}: {shown(value)}, expected a single value")
        if kind == "number" and isinstance(value, str):
            raise BadRows(f"{self.cell(place, number)}: {shown(value)} is no number")
        if kind != "text" and isinstance(value, int | float) and abs(value) > float(np.finfo(self.dtype).max):
            raise self._too_large(place, number, value)
        if kind == "number":
            return np.nan if value is None else float(value)
        return value

    def cell(self, place: int, number: int) -> str:
        """How complaints name a value."""
        name = f' ("{self.columns[number].name}")' if self.columns else ""
        return f"row {place}, column {number}{name}"

    def _names(self) -> str:
        names = [column.name for column in self.columns]
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return ", ".join(names[:_MOST_NAMES]) + more


def _sort(value: Any) -> type:
    """What a value is, to a model that looks at whole columns: whole numbers are numbers."""
    return float if type(value) is int else type(value)


def _array(rows: list[list[Any]]) -> Array | None:
    """Rows of nothing but numbers; None: something else is among them."""
    try:
        array = np.array(rows)
    except (ValueError, OverflowError):  # lists of several lengths inside a row
        return None
    return array if array.ndim == 2 and array.dtype.kind in "iufb" else None


def _parsed(body: bytes | memoryview) -> list[Any]:
    if bytes(body[:6]).startswith(_ARRAYS):
        raise BadRows(
            "the body is a file of numpy; this preset takes JSON only: [[...], ...] or [{...}, ...]"
        )
    try:
        rows = loads(body)
    except ValueError as error:
        raise BadRows(str(error)) from error
    if not isinstance(rows, list):
        raise BadRows(f"{shown(rows)}, expected a list of rows: [[...], ...] or [{{...}}, ...]")
    return rows
