"""``[SERVICE] N``: what is the service, what the number, and what neither."""

from __future__ import annotations

from typing import cast

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.cli import words as w

CTX = cast("typer.Context", None)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)
NUMBERS = st.integers(0, w.LARGEST - 1)


@given(NAMES, NUMBERS)
def test_the_service_comes_first_or_by_name_or_not_at_all(name: str, number: int) -> None:
    n = str(number)
    for take in (w.service_and_number, w.service_and_maybe_number):
        more = ("how many",) if take is w.service_and_number else ()
        assert take(CTX, [name, n], None, *more) == (name, number)
        assert take(CTX, [name, n], name, *more) == (name, number)
        assert take(CTX, [n], name, *more) == (name, number)
        assert take(CTX, [n], None, *more) == (None, number)


@given(NAMES)
def test_a_name_alone(name: str) -> None:
    assert w.service_and_maybe_number(CTX, [name], None) == (name, None)
    assert w.service(CTX, [name], None) == w.service(CTX, [], name) == w.service(CTX, [name], name) == name
    assert w.service_and_word(CTX, [name], None, "what") == (None, name)


def test_nothing_at_all() -> None:
    assert w.service(CTX, None, None) is None
    assert w.service_and_maybe_number(CTX, None, None) == (None, None)


def test_a_service_whose_name_is_a_number_is_named_by_the_option() -> None:
    assert w.service_and_maybe_number(CTX, ["7"], None) == (None, 7)
    assert w.service_and_maybe_number(CTX, [], "7") == ("7", None)
    assert w.service_and_maybe_number(CTX, ["7", "3"], None) == ("7", 3)


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        (["x"], None, "'x' isn't a whole number"),
        (["-1"], None, "'-1' isn't a whole number"),
        (["1.5"], None, "isn't a whole number"),
        (["9" * 5000], None, "isn't a whole number"),
        (["\u0663"], None, "isn't a whole number"),
        (["a", "b", "c"], None, "what is 'c'?"),
        (["a", "1"], "b", "a and --name b: which of them?"),
        ([], None, "how many?"),
    ],
)
def test_what_can_not_be(words: list[str], name: str | None, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said[:40].replace("?", r"\?")):
        w.service_and_number(CTX, words, name, "how many")


def test_a_word_that_is_no_number_where_the_service_is_named() -> None:
    with pytest.raises(typer.BadParameter, match="'x' isn't a whole number"):
        w.service_and_maybe_number(CTX, ["x"], "digits")
