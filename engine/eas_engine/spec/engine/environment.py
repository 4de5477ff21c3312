"""The environment over the file: every key has a variable.

``admin_port`` is ``EAS_ADMIN_PORT``; ``groups.fast.cpus`` is ``EAS_GROUPS__FAST__CPUS``. Names of groups and
types are compared without case, and with ``_`` for what a variable's name can't hold; one that the file
doesn't have is a new one, in small letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from eas_engine.records import dataclass
from eas_engine.spec.engine.keys import OPTIONS, TABLES

PREFIX: Final = "EAS_"
_BETWEEN: Final = "__"
_OTHER: Final = re.compile(r"[^A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable that sets a key."""

    name: str
    path: tuple[str, ...]
    """``("port",)``, or table, name and key; without the key when the variable has no known one."""
    value: str


def option_variable(option: str) -> str:
    """The variable of a flag: ``admin_port`` -> ``EAS_ADMIN_PORT``."""
    return PREFIX + option.upper()


def variables(environ: Mapping[str, str], tree: Mapping[str, Any]) -> list[Variable]:
    """Those that are set and not empty; ``tree`` is what the file has."""
    found = [
        Variable(name, (option,), environ[name])
        for option in OPTIONS
        if environ.get(name := option_variable(option))
    ]
    for name in sorted(environ):
        for table in TABLES:
            start = f"{PREFIX}{table.upper()}{_BETWEEN}"
            if name.startswith(start) and environ[name]:
                inner = tree.get(table)
                known = inner if isinstance(inner, dict) else {}
                found.append(Variable(name, (table, *_place(name[len(start) :], known)), environ[name]))
    return found


def _place(rest: str, known: Iterable[str]) -> tuple[str, ...]:
    """``FAST__CPUS`` -> the name as the file spells it, and the key."""
    name, between, key = rest.rpartition(_BETWEEN)
    if not between:
        return (rest.lower(),)
    spelled = next((one for one in known if _OTHER.sub("_", one.upper()) == name), name.lower())
    return spelled, key.lower()
