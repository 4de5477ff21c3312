"""JSON with line numbers: a file's text -> a tree that remembers where everything stood.

The standard parser knows neither lines nor duplicate keys. This one follows RFC 8259 and refuses, with line,
column and what to do: anything that isn't JSON (comments, trailing commas, NaN, single quotes), nesting
beyond 64 levels, numbers that no program reads alike, text that isn't Unicode. It never recurses deeper than
that bound.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import field
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Any, Final

from eas_engine.records import dataclass

DEEPEST: Final = 64
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LITERALS: Final = {"true": True, "false": False, "null": None}
_LONGEST_NUMBER: Final = 100


class NotJson(ValueError):
    """The text isn't JSON; ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object: its key, the key's line, its value."""

    key: str
    line: int
    node: Node


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that stood twice in one object; the second holds."""

    path: tuple[str, ...]
    first: Member
    second: Member


@dataclass(frozen=True, slots=True)
class Node:
    """A value: a scalar, a dict of ``Member`` by key, or a list of ``Node``."""

    value: bool | int | float | str | dict[str, Member] | list[Node] | None
    line: int

    def plain(self) -> Any:
        """The value as ``json.loads`` would give it."""
        if isinstance(self.value, dict):
            return {key: member.node.plain() for key, member in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(slots=True)
class _Scanner:
    text: str
    duplicates: list[Duplicate] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", self.text))]

    def line(self, position: int) -> int:
        return bisect_right(self._starts, position)

    def fail(self, message: str, position: int) -> NotJson:
        line = self.line(position)
        return NotJson(message, line, position - self._starts[line - 1] + 1)

    def skip(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        return match.end() if match else position

    def document(self) -> Node:
        node, end = self.value(self.skip(0), ())
        end = self.skip(end)
        if end != len(self.text):
            raise self.fail("something follows the end of the document: remove it", end)
        return node

    def value(self, at: int, path: tuple[str, ...]) -> tuple[Node, int]:
        if len(path) > DEEPEST:
            raise self.fail(f"nested deeper than {DEEPEST} levels", at)
        begins = self.text[at : at + 1]
        if begins == "{":
            return self.object(at, path)
        if begins == "[":
            return self.array(at, path)
        if begins == '"':
            text, end = self.string(at)
            return Node(text, self.line(at)), end
        if begins == "-" or "0" <= begins <= "9":
            return self.number(at)
        return self.literal(at)

    def object(self, at: int, path: tuple[str, ...]) -> tuple[Node, int]:
        members: dict[str, Member] = {}
        position = self.skip(at + 1)
        if self.text[position : position + 1] == "}":
            return Node(members, self.line(at)), position + 1
        while True:
            if self.text[position : position + 1] != '"':
                raise self.fail(self.expected_key(position), position)
            key, end = self.string(position)
            line = self.line(position)
            end = self.skip(end)
            if self.text[end : end + 1] != ":":
                raise self.fail('expected ":" after the key', end)
            node, end = self.value(self.skip(end + 1), (*path, key))
            member = Member(key, line, node)
            if key in members:
                self.duplicates.append(Duplicate((*path, key), members[key], member))
            members[key] = member
            position, done = self.separator(end, "}")
            if done:
                return Node(members, self.line(at)), position

    def array(self, at: int, path: tuple[str, ...]) -> tuple[Node, int]:
        nodes: list[Node] = []
        position = self.skip(at + 1)
        if self.text[position : position + 1] == "]":
            return Node(nodes, self.line(at)), position + 1
        while True:
            node, end = self.value(position, (*path, f"[{len(nodes)}]"))
            nodes.append(node)
            position, done = self.separator(end, "]")
            if done:
                return Node(nodes, self.line(at)), position

    def separator(self, at: int, closing: str) -> tuple[int, bool]:
        """After a value: the next value's position, or the end of the object or list."""
        at = self.skip(at)
        found = self.text[at : at + 1]
        if found == closing:
            return at + 1, True
        if found != ",":
            raise self.fail(f'expected "," or "{closing}" (is a comma missing on the line before?)', at)
        following = self.skip(at + 1)
        if self.text[following : following + 1] == closing:
            raise self.fail(f'a comma before "{closing}": remove it', at)
        return following, False

    def expected_key(self, at: int) -> str:
        found = self.text[at : at + 2]
        if found in ("//", "/*") or found[:1] == "#":
            return "JSON has no comments: remove it"
        return "expected a key in double quotes"

    def string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self.text, at + 1, True)
        except JSONDecodeError as error:
            raise self.fail(
                f"{error.msg[:1].lower()}{error.msg[1:]}".removesuffix(" at"), error.pos
            ) from None
        if "\0" in text:
            raise self.fail("text can't hold the character NUL (\\u0000)", at)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self.fail("half a surrogate pair (\\ud800 to \\udfff) is no character", at)
        return text, end

    def number(self, at: int) -> tuple[Node, int]:
        match = _NUMBER.match(self.text, at)
        if not match:
            raise self.fail('expected digits after "-"', at)
        if self.text[match.end() : match.end() + 1].isdigit():
            raise self.fail("a number can't begin with 0", at)
        literal = match.group()
        if len(literal) > _LONGEST_NUMBER:
            raise self.fail(f"a number of more than {_LONGEST_NUMBER} characters", at)
        value: int | float = float(literal) if match.group(1) or match.group(2) else int(literal)
        if isinstance(value, float) and not math.isfinite(value):
            raise self.fail("a number too large to be represented", at)
        return Node(value, self.line(at)), match.end()

    def literal(self, at: int) -> tuple[Node, int]:
        match = _WORD.match(self.text, at)
        if match and match.group() in _LITERALS:
            return Node(_LITERALS[match.group()], self.line(at)), match.end()
        raise self.fail(self.expected_value(at, match.group() if match else ""), at)

    def expected_value(self, at: int, word: str) -> str:
        found = self.text[at : at + 1]
        if not found:
            return "the document ends here, before it is complete (is a bracket or brace missing?)"
        if word.lower() in _LITERALS:
            return f"{word}: write {word.lower()}"
        if word in ("NaN", "Infinity", "None"):
            return f"{word} is not JSON: write a number, or null"
        if found == "'":
            return "text needs double quotes, not single ones"
        if found in ("/", "#"):
            return "JSON has no comments: remove it"
        return f"expected a value; text needs double quotes (found {found!r})"


def parse(text: str) -> tuple[Node, tuple[Duplicate, ...]]:
    """Read one JSON document; raises ``NotJson``."""
    scanner = _Scanner(text)
    node = scanner.document()
    return node, tuple(scanner.duplicates)
