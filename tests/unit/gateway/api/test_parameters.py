"""What may stand behind the ``?``: nothing else, nothing twice, and nothing that can't be read."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.gateway.api.answers import ApiError
from eas_engine.gateway.api.parameters import (
    Query,
    anything,
    flag,
    fraction,
    seconds,
    share,
    text,
    texts,
    whole,
)

NUMBER = whole("n", "A number.", low=1, high=9, default=3)
NEEDED = whole("needed", "How many there are to be.", required=True)
WORD = text("word", "A word.", longest=5)
ANY = anything("any", "Anything.")
MANY = texts("many", "Some.")
FLAG = flag("flag", "Whether.")
PAUSE = seconds("pause", "How long.", most=60)
SHARE = share("share", "How much.")
KNOWN = (NUMBER, WORD, ANY, MANY, FLAG, PAUSE, SHARE)


def test_what_is_not_given_is_as_declared() -> None:
    query = Query("", KNOWN)
    assert (query[NUMBER], query[WORD], query[ANY], query[MANY]) == (3, "", "", ())
    assert (query[FLAG], query[PAUSE], query[SHARE]) == (False, 0.0, None)


def test_what_is_given() -> None:
    query = Query("n=9&word=h%C3%B6he&any=%00&many=a%3D1&many=b%3D2&flag&pause=0.25&share=12.5%", KNOWN)
    assert (query[NUMBER], query[WORD], query[ANY]) == (9, "höhe", "\0")
    assert query[MANY] == ("a=1", "b=2")
    assert (query[FLAG], query[PAUSE], query[SHARE]) == (True, 0.25, 0.125)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("m=1", "unknown parameter 'm': known are any, flag, many, n, pause, share, word"),
        ("N=1", "unknown parameter 'N'"),
        ("=1", "unknown parameter ''"),
        ("n=1&n=1", "n is given 2 times"),
        ("n=", "n: '' isn't a whole number"),
        ("n=1.0", "n: '1.0' isn't a whole number"),
        ("n=-1", "n: '-1' isn't a whole number"),
        ("n=%EF%BC%91", "isn't a whole number"),  # a digit, but not of ASCII
        ("n=" + "9" * 5000, "isn't a whole number"),
        ("n=0", "n: 0 isn't between 1 and 9"),
        ("n=10", "n: 10 isn't between 1 and 9"),
        ("word=longer", "word: longer than 5 characters"),
        ("word=%0A", r"word: '\n' has control characters"),
        ("word=%FF", "the query isn't UTF-8"),
        ("flag=yes", "flag: 'yes' is neither true nor false"),
        ("pause=61", "pause: '61' isn't a number of seconds between 0 and 60"),
        ("pause=-1", "isn't a number of seconds"),
        ("pause=1e1", "isn't a number of seconds"),
        ("pause=nan", "isn't a number of seconds"),
        ("share=10", "share: '10' isn't a percentage between 0% and 100%, such as 10%"),
        ("share=100%25", "isn't a percentage"),
        ("share=0%25", "isn't a percentage"),
        ("share=-5%25", "isn't a percentage"),
    ],
)
def test_what_can_not_be(query: str, said: str) -> None:
    with pytest.raises(ApiError) as refused:
        Query(query, KNOWN)
    assert refused.value.status == 400
    assert said in refused.value.text
    assert len(refused.value.text) < 300


def test_what_must_be_given() -> None:
    with pytest.raises(ApiError, match="needed is missing: How many there are to be"):
        Query("", (NEEDED,))
    with pytest.raises(ApiError, match="this page has none"):
        Query("x", ())


@given(st.lists(st.text()), st.text(), st.integers(1, 9))
def test_what_is_encoded_arrives(many: list[str], any_text: str, number: int) -> None:
    pairs = [("any", any_text), ("n", str(number)), *(("many", one) for one in many)]
    query = Query(urlencode(pairs, errors="surrogatepass"), KNOWN) if _is_utf8(any_text, *many) else None
    if query is not None:
        assert (query[ANY], query[MANY], query[NUMBER]) == (any_text, tuple(many), number)


def _is_utf8(*texts_: str) -> bool:
    return all(one.isascii() or one.encode("utf-8", "ignore").decode() == one for one in texts_)


@given(st.text())
def test_a_query_is_read_or_refused_and_never_raises_anything_else(query: str) -> None:
    try:
        Query(query, KNOWN)
    except ApiError as error:
        assert error.status == 400  # noqa: PT017 - it needs not be raised


@given(st.decimals("0.000001", "99.999999", places=6))
def test_percentages(value: object) -> None:
    assert fraction(f"{value:f}%") == pytest.approx(float(str(value)) / 100)
