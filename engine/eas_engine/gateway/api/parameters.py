"""What may stand behind the ``?`` of a page: declared once, for the reading and for the OpenAPI document.

A query with anything else in it is refused, and so is a value that can't be read, or one given twice: a
misspelt ``instances`` must not scale to a default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from eas_engine.gateway.api.answers import ApiError
from eas_engine.records import dataclass

T = TypeVar("T")

LARGEST = 10**15
"""Of whole numbers: far more than is ever counted here, and exact in every client's JSON."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WHOLE = re.compile(r"[0-9]{1,16}")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")
_PERCENT = re.compile(r"[0-9]{1,2}(\.[0-9]{1,6})?%")
_FLAGS: Mapping[str, bool] = {"": True, "1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter(Generic[T]):
    """One parameter.

    Attributes:
        name: as it stands in the query.
        about: what it means, for people.
        schema: its JSON Schema.
        default: its value when it isn't given.
        read: from text to value; raises ValueError with what was expected.
        required: it must be given.
        many: may be given more than once; ``T`` is a tuple then, and ``read`` gets one after the other.
    """

    name: str
    about: str
    schema: Mapping[str, object]
    default: T
    read: Callable[[str], Any]
    required: bool = False
    many: bool = False


class Query:
    """What was given, by its parameters."""

    def __init__(self, text: str, known: Sequence[Parameter[Any]]) -> None:
        """Errors: ApiError (400) for what can't be read or isn't known."""
        given: dict[str, list[str]] = {}
        for name, value in _pairs(text):
            given.setdefault(name, []).append(value)
        names = {one.name for one in known}
        for name in given:
            if name not in names:
                what = f"known are {', '.join(sorted(names))}" if names else "this page has none"
                raise ApiError(400, f"unknown parameter {name[:100]!r}: {what}")
        self._values = {one.name: _value(one, given.get(one.name, [])) for one in known}

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """Its value; the default when it wasn't given."""
        value: T = self._values[parameter.name]
        return value


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:  # UnicodeDecodeError is one
        raise ApiError(400, "the query isn't UTF-8") from None


def _value(parameter: Parameter[Any], given: list[str]) -> Any:
    if not given and parameter.required:
        raise ApiError(400, f"{parameter.name} is missing: {parameter.about}")
    if not given:
        return parameter.default
    if len(given) > 1 and not parameter.many:
        raise ApiError(400, f"{parameter.name} is given {len(given)} times")
    try:
        values = tuple(parameter.read(one) for one in given)
    except ValueError as error:
        raise ApiError(400, f"{parameter.name}: {error}") from None
    return values if parameter.many else values[0]


# -- kinds of them


def text(name: str, about: str, *, longest: int = 4096, required: bool = False) -> Parameter[str]:
    """Any text without control characters, at most so many characters."""
    schema = {"type": "string", "maxLength": longest}
    return Parameter(
        name=name,
        about=about,
        schema=schema,
        default="",
        read=lambda given: _text(given, longest),
        required=required,
    )


def anything(name: str, about: str) -> Parameter[str]:
    """Any text as it is."""
    return Parameter(name=name, about=about, schema={"type": "string"}, default="", read=str)


def texts(name: str, about: str) -> Parameter[tuple[str, ...]]:
    """Text that may be given repeatedly; how long all of it may be, the head of a request limits."""
    schema = {"type": "array", "items": {"type": "string"}}
    return Parameter(name=name, about=about, schema=schema, default=(), read=str, many=True)


def whole(
    name: str, about: str, *, low: int = 0, high: int = LARGEST, default: int = 0, required: bool = False
) -> Parameter[int]:
    """A whole number between two bounds."""
    schema: dict[str, object] = {"type": "integer", "minimum": low, "maximum": high}
    if not required and default >= low:
        schema["default"] = default
    return Parameter(
        name=name,
        about=about,
        schema=schema,
        default=default,
        read=lambda given: _whole(given, low, high),
        required=required,
    )


def flag(name: str, about: str) -> Parameter[bool]:
    """``name``, ``name=1`` or ``name=true``; off without it."""
    schema = {"type": "string", "enum": list(_FLAGS)}
    return Parameter(name=name, about=about, schema=schema, default=False, read=_flag)


def seconds(name: str, about: str, *, most: float) -> Parameter[float]:
    """Some time, 0 by default."""
    schema = {"type": "number", "minimum": 0, "maximum": most, "default": 0}
    return Parameter(
        name=name, about=about, schema=schema, default=0.0, read=lambda given: _seconds(given, most)
    )


def share(name: str, about: str) -> Parameter[float | None]:
    """A percentage between 0% and 100%, neither of them included, as a fraction."""
    schema = {"type": "string", "pattern": f"^{_PERCENT.pattern}$", "examples": ["10%"]}
    return Parameter(name=name, about=about, schema=schema, default=None, read=fraction)


def fraction(given: str) -> float:
    """``10%`` as 0.1. Errors: ValueError with words for a person."""
    found = _PERCENT.fullmatch(given)
    value = float(given[:-1]) / 100 if found else 0.0
    if not 0 < value < 1:
        raise ValueError(f"{given[:100]!r} isn't a percentage between 0% and 100%, such as 10%")
    return value


def _text(given: str, longest: int) -> str:
    if len(given) > longest:
        raise ValueError(f"longer than {longest} characters")
    if _CONTROL.search(given):
        raise ValueError(f"{given[:100]!r} has control characters")
    return given


def _whole(given: str, low: int, high: int) -> int:
    if _WHOLE.fullmatch(given) is None:
        raise ValueError(f"{given[:100]!r} isn't a whole number")
    value = int(given)
    if not low <= value <= high:
        raise ValueError(f"{value} isn't between {low} and {high}")
    return value


def _flag(given: str) -> bool:
    if given not in _FLAGS:
        raise ValueError(f"{given[:100]!r} is neither true nor false")
    return _FLAGS[given]


def _seconds(given: str, most: float) -> float:
    if _SECONDS.fullmatch(given) is None or float(given) > most:
        raise ValueError(f"{given[:100]!r} isn't a number of seconds between 0 and {most:g}")
    return float(given)
