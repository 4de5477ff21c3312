"""Types and ranges: pydantic's complaints in the words of the file.

To list broken rules beside broken values, values that can't be read are taken out and the rest is validated
again: the spec that comes out then serves only for finding further problems.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from eas_engine.records import dataclass
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.problems import Origin, Problem, problem_at, shown

_ROUNDS: Final = 8
_MOST: Final = 200
"""Complaints listed; a file with more is no service.json with a few mistakes."""
_QUOTED: Final = re.compile(r"'([^']*)'")
_PLACEHOLDER: Final = "unnamed"


class Checked(NamedTuple):
    """``spec`` is whole when there are no ``problems``; ``None`` when not even the rest can be validated."""

    spec: ServiceSpec | None
    problems: list[Problem]
    unread: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Words:
    """How one kind of pydantic error reads, with its figure."""

    text: str
    figure: str = ""


_EXPECTED: Final = {
    "greater_than_equal": _Words("expected at least {}", "ge"),
    "greater_than": _Words("expected more than {}", "gt"),
    "less_than_equal": _Words("expected at most {}", "le"),
    "string_pattern_mismatch": _Words("expected text that matches {}", "pattern"),
    "string_too_short": _Words("expected text that isn't empty"),
    "too_short": _Words("expected at least {} item(s)", "min_length"),
    "tuple_type": _Words("expected a list"),
    "mapping_type": _Words("expected an object"),
    "dict_type": _Words("expected an object"),
    "model_type": _Words("expected an object"),
}


def validate(canonical: dict[str, Any], origins: Mapping[str, Origin]) -> Checked:
    """Validate the canonical object; its broken values are taken out of it."""
    problems: list[Problem] = []
    unread: set[str] = set()
    for _ in range(_ROUNDS):
        try:
            return Checked(ServiceSpec.built().model_validate(canonical), problems, frozenset(unread))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)
            for detail in details[:_MOST]:
                path = path_of(detail["loc"])
                if path not in unread:
                    problems.append(problem_at(path, origins, complaint(detail)))
                unread.add(path)
            if len(details) > _MOST:
                more = f"and {len(details) - _MOST} values more that can't be read"
                return Checked(None, [*problems, Problem("", None, more)], frozenset(unread))
            places = dict.fromkeys(_whole_item(detail["loc"]) for detail in details)
            for place in reversed(places):  # backwards, so that the items of a list keep their places
                _take_out(canonical, place)
    return Checked(None, problems, frozenset(unread))


def path_of(loc: tuple[int | str, ...]) -> str:
    """A place in the object as a path of the file: ``containers[0].port``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def complaint(detail: ErrorDetails) -> str:
    """One of pydantic's errors: the value as it stands in the file, and what was expected."""
    if detail["type"] == "missing":
        return "required, and not set"
    context = detail.get("ctx") or {}
    words = _EXPECTED.get(detail["type"])
    if detail["type"] == "literal_error":
        expected = _one_of(str(context.get("expected", "")), detail["input"])
    elif words is not None:
        expected = words.text.format(context.get(words.figure, ""))
    elif detail["type"] == "value_error":
        expected = str(context.get("error", detail["msg"]))
    else:
        expected = detail["msg"]
    return f"{shown(detail['input'], path_of(detail['loc']))}: {expected}"


def _one_of(allowed: str, given: object) -> str:
    """The values there are, pydantic's ``'a', 'b' or 'c'``, and the nearest; not the empty one, a default."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a file with mistakes

    values = [one for one in _QUOTED.findall(allowed) if one]
    if not values:
        return f"expected {allowed}"
    quoted = [f"'{one}'" for one in values]
    expected = " or ".join(part for part in (", ".join(quoted[:-1]), quoted[-1]) if part)
    near = get_close_matches(given.lower(), values, n=1) if isinstance(given, str) else []
    return f"expected {expected}" + (f", did you mean {near[0]}?" if near else "")


def _whole_item(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The outermost item of a list that ``loc`` lies in: items go as a whole."""
    first = next((at for at, part in enumerate(loc) if isinstance(part, int)), None)
    return loc if first is None else loc[: first + 1]


def _take_out(canonical: dict[str, Any], loc: tuple[int | str, ...]) -> None:
    """Remove what ``loc`` points at; of a missing member, the object that lacks it."""
    if loc == ("name",):
        canonical["name"] = _PLACEHOLDER
        return
    holder: Any = None
    last: Any = None
    inner: Any = canonical
    for part in loc:
        present = (
            part in inner
            if isinstance(inner, dict)
            else isinstance(inner, list) and part in range(len(inner))
        )
        if not present:
            break
        holder, last, inner = inner, part, inner[part]
    if holder is not None:
        holder.pop(last)
