"""The JSON reader against the standard one, and what it says about broken files."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.spec.locate import DEEPEST, Member, NotJson, parse
from support.services import JSON


@given(JSON, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_reads_what_the_standard_parser_reads(
    value: object, indent: int | str | None, ensure_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)
    assert parse(text)[0].plain() == json.loads(text)


@given(st.text(max_size=40) | st.text(alphabet='{}[]":,0123456789.eE+-truefalsn \n\\u', max_size=40))
def test_refuses_or_reads_alike(text: str) -> None:
    place = (1, 1)
    try:
        node, _ = parse(text)
    except NotJson as error:
        place = (error.line, error.column)
    else:
        assert node.plain() == json.loads(text)
    assert min(place) >= 1


def test_every_key_knows_its_line() -> None:
    node, _ = parse('{\n "a": 1,\n "b": {\n  "c": [\n   1,\n   2]}}')
    assert isinstance(node.value, dict)
    b = node.value["b"]
    assert (node.value["a"].line, b.line, node.line) == (2, 3, 1)
    assert isinstance(b.node.value, dict)
    c: Member = b.node.value["c"]
    assert c.line == 4
    assert isinstance(c.node.value, list)
    assert [item.line for item in c.node.value] == [5, 6]


def test_a_doubled_key_keeps_the_last_value_and_names_both() -> None:
    node, duplicates = parse('{"x": {"a": 1,\n"a": 2}}')
    assert node.plain() == {"x": {"a": 2}}
    (one,) = duplicates
    assert (one.path, one.first.line, one.second.line) == (("x", "a"), 1, 2)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "ends here"),
        ('{\n"a": 1,\n}', 2, 7, 'a comma before "}"'),
        ('{"a": 1\n"b": 2}', 2, 1, "is a comma missing"),
        ("{'a': 1}", 1, 2, "double quotes"),
        ("{\"a\": 'x'}", 1, 7, "double quotes, not single"),
        ('{"a": NaN}', 1, 7, "NaN is not JSON"),
        ('{"a": -Infinity}', 1, 7, "expected digits"),
        ('{"a": 1e999}', 1, 7, "too large"),
        ('{"a": ' + "9" * 5000 + "}", 1, 7, "more than 100 characters"),
        ('{"a": True}', 1, 7, "write true"),
        ('{"a": 01}', 1, 7, "begin with 0"),
        ('{// x\n"a": 1}', 1, 2, "no comments"),
        ('{"a": 1} {}', 1, 10, "something follows"),
        ('{"a": "x', 1, 7, "unterminated string"),
        ('{"a": "\\u0000"}', 1, 7, "NUL"),
        ('{"a": "\\ud800"}', 1, 7, "surrogate"),
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), 1, DEEPEST + 2, "deeper than 64"),
        ("[" * 100_000, 1, DEEPEST + 2, "deeper than 64"),
    ],
)
def test_says_where_and_what_to_do(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(NotJson) as caught:
        parse(text)
    assert words in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)
