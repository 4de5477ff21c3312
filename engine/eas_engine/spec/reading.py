"""From the file's tree and the flags to one object in the canonical spelling, with the origin of every value.

Rules (the reference's *Reading the file*):

* ``metadata.K`` and ``K`` name the same parameter; dotted and nested keys mean the same and may be mixed.
  A flag beats the file; ``metadata.K`` beats ``K``; between equals the last one holds. Whoever loses with
  another value is named in a warning.
* The empty string and ``null`` mean "not set": an empty ``metadata.K`` leaves the word to ``K``, an empty
  flag unsets.
* Free-form maps are never split at dots; a longer path into one (``labels.team``) sets a key of it.
* Nothing here knows types or ranges: that is pydantic's part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from eas_engine.spec.cloud_only import has_no_effect_here
from eas_engine.spec.locate import Duplicate, Node
from eas_engine.spec.parameters import Catalogue, Kind, Parameter, item_parameters
from eas_engine.spec.problems import Origin, Problem, shown

_INDEXED: Final = re.compile(r"([^\[\]]+)\[([0-9]{1,3})\]\.(.+)")
_MOST_SUGGESTIONS: Final = 30
_FLAG: Final = 2


class Entry(NamedTuple):
    """One key of an object (or one flag), not yet understood."""

    key: str
    node: Node
    origin: Origin


class Candidate(NamedTuple):
    """A value given for a parameter; the highest ``rank`` wins, then the last."""

    rank: int
    spelled: str
    node: Node
    origin: Origin

    @property
    def is_empty(self) -> bool:
        """Whether it says "not set"."""
        return self.node.value is None or self.node.value == ""


@dataclass(slots=True)
class Given:
    """Everything given for one parameter: whole values, keys of a map, members of a list's items."""

    parameter: Parameter
    whole: list[Candidate] = field(default_factory=list)
    keys: list[tuple[str, Candidate]] = field(default_factory=list)
    items: dict[int, list[Entry]] = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """What was noticed while reading: origins, parameters given but empty, complaints."""

    origins: dict[str, Origin] = field(default_factory=dict)
    emptied: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unknown: int = 0

    def warn(self, path: str, origin: Origin, message: str, *, strict: bool = True) -> None:
        """Note what holds, but may not be what was meant."""
        self.problems.append(
            Problem(path, origin.line, _with_flag(message, origin), "warning", strict=strict)
        )

    def refuse(self, path: str, origin: Origin, message: str) -> None:
        """Note what can't be read."""
        self.problems.append(Problem(path, origin.line, _with_flag(message, origin)))

    def warn_of_duplicates(self, duplicates: Iterable[Duplicate]) -> None:
        """Name both lines of every key that stands twice in one object."""
        for one in duplicates:
            path = _joined(one.path)
            dropped, kept = shown(one.first.node.plain(), path), shown(one.second.node.plain(), path)
            message = (
                f"stands on line {one.first.line} ({dropped}) and again on line {one.second.line} ({kept}): "
                "the last one holds"
            )
            self.warn(path, Origin("file", one.second.line), message)


def file_entries(node: Node) -> list[Entry]:
    """The members of an object of the file."""
    members = node.value if isinstance(node.value, dict) else {}
    return [Entry(one.key, one.node, Origin("file", one.line)) for one in members.values()]


def read(
    entries: Iterable[Entry], catalogue: Catalogue, reading: Reading, prefix: str = ""
) -> dict[str, Any]:
    """The canonical object that ``entries`` mean; ``prefix`` is where it lies (``containers[0].``)."""
    reader = _ObjectReader(catalogue, reading, prefix)
    for entry in entries:
        reader.collect(entry, "")
    result: dict[str, Any] = {}
    for given in reader.given.values():
        for parts, value in reader.settle(given):
            _set(result, parts, value)
    return result


@dataclass(slots=True)
class _ObjectReader:
    """Reads the file's top object, or one item of a list: first ``collect`` every entry, then ``settle``."""

    catalogue: Catalogue
    reading: Reading
    prefix: str
    given: dict[str, Given] = field(default_factory=dict)

    def collect(self, entry: Entry, above: str) -> None:
        """Sort one key, and everything below it, to the parameters it is about."""
        path = f"{above}.{entry.key}" if above else entry.key
        parameter = self.catalogue.find(path)
        if parameter is None:
            self._collect_inner(entry, path)
        elif parameter.kind is Kind.SECTION:
            self._collect_section(entry, path, parameter)
        else:
            self._about(parameter).whole.append(self._candidate(entry, path))

    def _about(self, parameter: Parameter) -> Given:
        return self.given.setdefault(parameter.path, Given(parameter))

    def _candidate(self, entry: Entry, path: str) -> Candidate:
        inside = bool(self.catalogue.prefix) and path.startswith(self.catalogue.prefix)
        rank = _FLAG if entry.origin.kind == "flag" else int(inside)
        return Candidate(rank, path, entry.node, entry.origin)

    def _collect_section(self, entry: Entry, path: str, parameter: Parameter) -> None:
        value = entry.node.value
        if isinstance(value, dict):
            if self.prefix:  # in items an empty object says something: {"empty_dir": {}}
                self._about(parameter)
            self.reading.origins.setdefault(self._place(parameter)[0], entry.origin)
            for inner in file_entries(entry.node):
                origin = inner.origin if entry.origin.kind == "file" else entry.origin
                self.collect(inner._replace(origin=origin), path)
        elif value is not None and value != "":
            found = shown(entry.node.plain(), path)
            self.reading.refuse(f"{self.prefix}{path}", entry.origin, f"{found}: expected an object")

    def _collect_inner(self, entry: Entry, path: str) -> None:
        """No parameter itself: a key of a map, a member of a list's item (flags only), or unknown."""
        if (mapped := self.catalogue.find_map(path)) is not None:
            self._about(mapped[0]).keys.append((mapped[1], self._candidate(entry, path)))
        elif entry.origin.kind == "flag" and (listed := self._item(path)) is not None:
            parameter, index, rest = listed
            self._about(parameter).items.setdefault(index, []).append(entry._replace(key=rest))
        else:
            self._unknown(entry, path)

    def _item(self, path: str) -> tuple[Parameter, int, str] | None:
        match = _INDEXED.fullmatch(path)
        parameter = self.catalogue.find(match.group(1)) if match else None
        if match is None or parameter is None or parameter.kind is not Kind.LIST:
            return None
        return parameter, int(match.group(2)), match.group(3)

    def _unknown(self, entry: Entry, path: str) -> None:
        where = f"{self.prefix}{path}"
        if not has_no_effect_here(where):
            self.reading.unknown += 1
            self.reading.warn(where, entry.origin, f"unknown{self._suggestion(path)}")
        elif entry.node.value is not None and entry.node.value != "":
            self.reading.warn(where, entry.origin, "no effect here: it belongs to the cloud", strict=False)

    def _suggestion(self, path: str) -> str:
        if self.reading.unknown > _MOST_SUGGESTIONS:
            return ""
        from eas_engine.spec.suggest import nearest  # noqa: PLC0415 - difflib: only files with a typo pay for it

        return nearest(self.catalogue, path)

    def settle(self, given: Given) -> Iterator[tuple[tuple[str, ...], Any]]:
        """What finally holds for one parameter: its place in this object, and its plain value."""
        path, parts = self._place(given.parameter)
        if given.parameter.kind is Kind.SECTION:
            yield parts, {}
            return
        winner = self._winner(given.whole, path)
        if winner is not None:
            self.reading.origins[path] = winner.origin
        if given.keys:
            yield parts, self._with_keys(given.keys, winner, path)
        elif given.parameter.kind is Kind.LIST and (winner is not None or given.items):
            yield parts, self._list(given, winner, path)
        elif winner is not None:
            yield parts, winner.node.plain()

    def _place(self, parameter: Parameter) -> tuple[str, tuple[str, ...]]:
        """Where a parameter's value lies: as a path of the whole file, and inside this object."""
        if not self.prefix:
            return parameter.path, parameter.parts
        inner = parameter.path.rpartition("[].")[2]
        return self.prefix + inner, tuple(inner.split("."))  # keys of items have no dots of their own

    def _winner(self, candidates: list[Candidate], path: str) -> Candidate | None:
        """Apply the precedence; ``None`` when the parameter is not set after all."""
        last: dict[int, Candidate] = {}
        for one in candidates:
            if one.rank != _FLAG and one.rank in last:
                self._warn_of_two(last[one.rank], one, path)
            last[one.rank] = one
        if _FLAG in last:
            return None if last[_FLAG].is_empty else last[_FLAG]
        filled = [last[rank] for rank in sorted(last) if not last[rank].is_empty]
        if len(filled) == 2:
            self._warn_of_two(filled[0], filled[1], path)
        if not filled:
            self.reading.emptied.update((path, one.origin.line or 0) for one in candidates)
        return filled[-1] if filled else None

    def _warn_of_two(self, loser: Candidate, winner: Candidate, path: str) -> None:
        dropped, kept = loser.node.plain(), winner.node.plain()
        if dropped != kept and str(dropped) != str(kept):
            lost = f"{loser.spelled} = {shown(dropped, path)} ({loser.origin})"
            held = f"{winner.spelled} = {shown(kept, path)} ({winner.origin})"
            message = f"given as {lost} and as {held}: the latter holds"
            self.reading.warn(path, winner.origin, message)

    def _with_keys(self, keys: list[tuple[str, Candidate]], winner: Candidate | None, path: str) -> Any:
        """A free-form map given by single keys, on top of the whole map where there is one."""
        whole = winner.node.plain() if winner is not None else {}
        if winner is not None and not isinstance(whole, dict):
            self.reading.warn(
                path, winner.origin, f"{shown(whole, path)} is dropped: single keys of it are given, too"
            )
            whole = {}
        for key, one in sorted(keys, key=lambda pair: pair[1].rank):
            value = one.node.plain()
            if key in whole and whole[key] != value and one.rank != _FLAG:
                self.reading.warn(f"{path}.{key}", one.origin, f"given twice: {shown(value, key)} holds")
            whole[key] = value
            self.reading.origins[f"{path}.{key}"] = one.origin
            self.reading.origins.setdefault(path, one.origin)
        return whole

    def _list(self, given: Given, winner: Candidate | None, path: str) -> Any:
        """A list of objects, each read by its own parameters; flags may set members of single items."""
        whole = winner.node.value if winner is not None else []
        if winner is not None and not isinstance(whole, list):
            return (
                winner.node.plain()
            )  # pydantic says that it isn't a list, or takes an object of names and values
        nodes = list(whole) if isinstance(whole, list) else []
        for index in sorted(given.items):
            if index == len(nodes):
                nodes.append(Node({}, 0))
            elif index > len(nodes):
                origin = given.items[index][0].origin
                self.reading.refuse(f"{path}[{index}]", origin, f"there are only {len(nodes)}")
        flag = winner.origin if winner is not None and winner.origin.kind == "flag" else None
        catalogue = item_parameters(given.parameter.path)
        return [
            self._list_item(
                _Item(node, f"{path}[{index}]", tuple(given.items.get(index, ()))), catalogue, flag
            )
            for index, node in enumerate(nodes)
        ]

    def _list_item(self, item: _Item, catalogue: Catalogue, flag: Origin | None) -> Any:
        added = item.flags[0].origin if item.flags and not item.node.line else None
        origin = flag or added or Origin("file", item.node.line)
        self.reading.origins[item.path] = origin
        if not isinstance(item.node.value, dict) and not item.flags:
            return item.node.plain()
        entries = [
            entry if flag is None else entry._replace(origin=flag) for entry in file_entries(item.node)
        ]
        return read([*entries, *item.flags], catalogue, self.reading, f"{item.path}.")


class _Item(NamedTuple):
    """One item of a list: its value, where it lies, and what flags say about it."""

    node: Node
    path: str
    flags: tuple[Entry, ...]


def _set(target: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    for part in parts[:-1]:
        target = target.setdefault(part, {})
    if value != {} or parts[-1] not in target:
        target[parts[-1]] = value


def _joined(path: tuple[str, ...]) -> str:
    return "".join(part if part.startswith("[") else f".{part}" for part in path).removeprefix(".")


def _with_flag(message: str, origin: Origin) -> str:
    return f"{message} (given by {origin.detail})" if origin.kind == "flag" else message
