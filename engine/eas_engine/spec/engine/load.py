"""From ``eas-engine.toml`` and the environment to ``EngineSettings``, or every complaint at once.

Order: which file -> text -> TOML -> the environment over it -> unknown keys -> types and ranges (pydantic) ->
rules against the machine (``rules``). A key that isn't known is an error: nothing is accepted and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from eas_engine.options import settings_file
from eas_engine.records import dataclass
from eas_engine.spec.engine import rules
from eas_engine.spec.engine.environment import Variable, option_variable, variables
from eas_engine.spec.engine.keys import NAME, OPTIONS, TABLES, Keys
from eas_engine.spec.engine.lines import lines
from eas_engine.spec.engine.settings import EngineSettings
from eas_engine.spec.load import read_text
from eas_engine.spec.machine import Machine, this_machine
from eas_engine.spec.problems import ConfigurationError, Origin, Problem, in_order, problem_at
from eas_engine.spec.validation import complaint
from eas_engine.spec.values import Section

ENVIRONMENT: Final = "the environment"
_NAME: Final = re.compile(NAME)
_ROUNDS: Final = 8
_AT: Final = re.compile(r" \(at line ([0-9]+), column ([0-9]+)\)$")

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """The settings; for people also what was given, by key (``groups.fast.cpus``), and its origins."""

    settings: EngineSettings
    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(slots=True)
class _Reading:
    tree: Tree
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, path: str, message: str) -> None:
        self.problems.append(problem_at(path, self.origins, message))


def here(given: Path | None, root: Path, environ: Mapping[str, str]) -> Machine:
    """This machine, with its settings; the variables of flags are for who reads flags.

    Errors: ConfigurationError.
    """
    machine = this_machine(environ)
    flags_of = {option_variable(one) for one in OPTIONS}
    rest = {name: value for name, value in environ.items() if name not in flags_of}
    return replace(machine, settings=load(settings_file(given, root), machine, rest).settings)


def flags(path: Path) -> Mapping[str, str | int]:
    """What the file says of flags of ``serve``, without those that can't be read: ``load`` complains of them.

    Variables aren't looked at: whoever reads flags reads those, too.
    """
    try:
        reading = _file(path)
    except ConfigurationError:
        return {}
    _sift_unknown(reading)
    keys = _validate(reading)
    return rules.options(keys) if keys is not None else {}


def load(path: Path | None, machine: Machine, environ: Mapping[str, str]) -> Read:
    """Read the file, if there is one, and the environment.

    Errors: ConfigurationError with all problems.
    """
    source = str(path) if path is not None else ENVIRONMENT
    reading = _file(path) if path is not None else _Reading({})
    _overlay(reading, variables(environ, reading.tree))
    if path is None and not reading.tree and not reading.problems:
        return Read(EngineSettings())  # most machines: nothing is set
    values = dict(_values(reading.tree))
    _sift_unknown(reading)
    keys = _validate(reading)
    settings = EngineSettings()
    if keys is not None:
        settings, found = rules.settle(keys, reading.origins, machine)
        reading.problems.extend(found)
    if reading.problems:
        raise ConfigurationError(source, in_order(reading.problems))
    return Read(replace(settings, source=str(path or "")), values, dict(reading.origins))


def _file(path: Path) -> _Reading:
    import tomllib  # noqa: PLC0415 - only who has a file pays for it

    text = read_text(path, "these are no engine settings")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _AT.search(str(error))
        where = f"column {at[2]}: " if at else ""
        message = f"{where}not TOML: {_AT.sub('', str(error))}"
        raise ConfigurationError(path, [Problem("", int(at[1]) if at else None, message)]) from None
    except RecursionError:
        raise ConfigurationError(path, [Problem("", None, "nested too deeply")]) from None
    origins = {".".join(place): Origin("file", line) for place, line in lines(text).items()}
    return _Reading(tree, origins)


def _overlay(reading: _Reading, found: Sequence[Variable]) -> None:
    """The variables beat the file."""
    for one in found:
        path = ".".join(one.path)
        reading.origins[path] = Origin("environment", detail=one.name)
        if one.path[0] in TABLES and len(one.path) != 3:
            reading.refuse(path, f"expected EAS_{one.path[0].upper()}__NAME__KEY")
            continue
        inner: Any = reading.tree
        for part in one.path[:-1]:
            inner = inner.setdefault(part, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner[one.path[-1]] = one.value
            reading.origins.setdefault(".".join(one.path[:-1]), reading.origins[path])


def _values(tree: Tree, above: str = "") -> Iterator[tuple[str, Any]]:
    """What was given, flat."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _values(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _sift_unknown(reading: _Reading) -> None:
    """Refuse keys and names that don't exist, and take them out."""
    for key in [one for one in reading.tree if one not in Keys.model_fields]:
        reading.refuse(key, f"unknown key{_nearest(key, Keys.model_fields)}")
        del reading.tree[key]
    for table, model in TABLES.items():
        entries = reading.tree.get(table)
        for name, given in entries.items() if isinstance(entries, dict) else ():
            if not _NAME.fullmatch(name):
                message = "names are letters, digits, '.', '_' and '-', at most 63 of them"
                reading.refuse(f"{table}.{name}", message)
            if isinstance(given, dict):
                _sift_entry(reading, f"{table}.{name}", given, model)


def _sift_entry(reading: _Reading, path: str, given: Tree, model: type[Section]) -> None:
    for key in [one for one in given if one not in model.model_fields]:
        words = _nearest(key, model.model_fields)
        if isinstance(given[key], dict):
            table, _, name = path.partition(".")
            words = f'; a name with a dot needs quotes: [{table}."{name}.{key}"]'
        reading.refuse(f"{path}.{key}", f"unknown key{words}")
        del given[key]


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a file with mistakes

    close = get_close_matches(key, known, n=1, cutoff=0.6)
    return f", did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _validate(reading: _Reading) -> Keys | None:
    """The keys; what can't be read is taken out, a group or type as a whole, so that the rest is checked."""
    for _ in range(_ROUNDS):
        try:
            return Keys.built().model_validate(reading.tree)
        except ValidationError as error:
            places: set[tuple[str, ...]] = set()
            for detail in error.errors(include_url=False, include_context=True):
                place = tuple(str(part) for part in detail["loc"])
                reading.refuse(".".join(place), complaint(detail))
                places.add(place[:2] if place[0] in TABLES else place[:1])
            for place in places:
                _take_out(reading.tree, place)
    return None


def _take_out(tree: Tree, place: tuple[str, ...]) -> None:
    inner = tree if len(place) == 1 else tree[place[0]]
    del inner[place[-1]]
