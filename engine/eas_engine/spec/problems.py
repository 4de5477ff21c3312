"""Where a value comes from, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from eas_engine import errors
from eas_engine.records import dataclass
from eas_engine.secrecy import is_secret

LONGEST_SHOWN: Final = 60
MOST_SHOWN: Final = 100
HIDDEN: Final = "(set, not shown)"
_VARIABLE: Final = "value"
"""The name that holds what an environment variable is set to: a secret as often as not."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from.

    ``line`` is the file's; ``detail`` names the flag, the variable, the machine type or the rule.
    """

    kind: Literal["file", "default", "flag", "environment", "instance_type"]
    line: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        if self.kind == "file":
            return f"line {self.line}"
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


DEFAULT: Final = Origin("default")


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint: ``strict`` tells whether ``--strict`` makes an error of a warning."""

    path: str
    line: int | None
    message: str
    severity: Literal["error", "warning"] = "error"
    strict: bool = True

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


@dataclass(frozen=True, slots=True)
class Complaint:
    """A broken rule: ``about`` lists the parameters, the one to point at first."""

    about: tuple[str, ...]
    message: str
    severity: Literal["error", "warning"] = "error"


class ConfigurationError(errors.ConfigurationError):
    """service.json can't be read as a service.

    ``problems`` has every reason, ``warnings`` what was noticed beside, ``str()`` both for a person.
    """

    def __init__(self, source: object, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        self.source = str(source)
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__(self._text(f"{self.source}: "))

    def _text(self, opening: str) -> str:
        count = len(self.problems)
        noticed = [f"  warning: {warning}" for warning in self.warnings[:MOST_SHOWN]]
        if (more := len(self.warnings) - len(noticed)) > 0:
            noticed.append(f"  ... and {more} more warnings")
        if count == 1:
            return "\n".join([f"{opening}{self.problems[0]}", *noticed])
        shown = [f"  {problem}" for problem in self.problems[:MOST_SHOWN]]
        if count > MOST_SHOWN:
            shown.append(f"  ... and {count - MOST_SHOWN} more")
        return "\n".join([f"{opening}{count} problems", *shown, *noticed])


def origin_of(path: str, origins: Mapping[str, Origin]) -> Origin:
    """The origin of a parameter, or of the nearest object around it that has one."""
    while path:
        if path in origins:
            return origins[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return DEFAULT


def problem_at(
    path: str,
    origins: Mapping[str, Origin],
    message: str,
    severity: Literal["error", "warning"] = "error",
) -> Problem:
    """A complaint about a parameter's value, with the line or the flag that gave it."""
    origin = origin_of(path, origins)
    if origin.kind in ("flag", "environment"):
        message = f"{message} (given by {origin.detail})"
    return Problem(path, origin.line, message, severity)


def shown(value: object, path: str = "") -> str:
    """A scalar as it stands in the file, cut to a readable length.

    Objects and lists, and secrets, are only hinted at.
    """
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[...]" if value else "[]"
    name = path.rpartition(".")[2]
    if value and (name == _VARIABLE or is_secret(name)):
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """As a person reads the file: by line; what has none, first."""
    return sorted(problems, key=lambda one: (one.line or 0, one.path))
