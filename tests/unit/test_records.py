"""The engine's own ``dataclass`` and the standard library's make the same of a class."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine import records

STANDARD = dataclasses.dataclass(frozen=True, slots=True)
OWN: Callable[[Any], Any] = records.dataclass(frozen=True, slots=True)


def made(decorate: Callable[[Any], Any]) -> tuple[Any, Any]:
    """A class and one that derives from it, with all that fields can be."""

    @decorate
    class Point:
        """Where."""

        KIND: ClassVar[str] = "point"
        x: int
        y: int = 0
        marks: list[int] = field(default_factory=list)
        secret: str = field(default="", repr=False)
        note: str = field(default="", compare=False, kw_only=True)

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("negative")

    @decorate
    class Named(Point):
        """Where, and what."""

        name: str = "origin"

    return Point, Named


class Both:
    """The two, side by side."""

    own = made(OWN)
    standard = made(STANDARD)


PICKLED = OWN(type("PICKLED", (), {"__annotations__": {"x": int}, "__module__": __name__, "x": 1}))

ARGUMENTS = st.tuples(
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(
        st.sampled_from(["x", "y", "secret", "note", "name", "z"]), st.integers(0, 3), max_size=4
    ),
)


def outcome(make: Callable[[], Any]) -> Any:
    """What came of it: the value's own words, or the kind of the error."""
    try:
        return repr(make())
    except (TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("which", [0, 1])
@given(ARGUMENTS, ARGUMENTS)
def test_values_are_made_shown_compared_and_hashed_as_the_standard_librarys(
    which: int, first: tuple[list[int], dict[str, int]], second: tuple[list[int], dict[str, int]]
) -> None:
    def seen(cls: Any) -> list[Any]:
        def one() -> Any:
            return cls(*first[0], **first[1])

        def other() -> Any:
            return cls(*second[0], **second[1])

        return [outcome(one), outcome(other), outcome(lambda: one() == other())]

    assert seen(Both.own[which]) == seen(Both.standard[which])


def test_equal_values_have_the_same_hash_and_unhashable_fields_still_refuse() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Pair:
        a: int
        b: tuple[int, ...] = ()
        c: int = field(default=0, compare=False)

    assert hash(Pair(1, (2,), 3)) == hash(Pair(1, (2,), 4))
    assert len({Pair(1), Pair(1), Pair(2)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Both.own[0](1))


def test_classes_without_fields_and_other_classes_are_not_equal() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Empty:
        pass

    @records.dataclass(frozen=True, slots=True)
    class Other:
        pass

    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())
    assert Empty() != Other()  # type: ignore[comparison-overlap]
    assert Both.own[0](1) != Both.own[1](1)


@pytest.mark.parametrize("name", ["x", "nothing"])
def test_nothing_can_be_set_or_deleted(name: str) -> None:
    value = Both.own[1](1)

    with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(value, name, 2)
    with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
        delattr(value, name)
    assert not hasattr(value, "__dict__")


def test_it_is_a_dataclass_for_whoever_asks() -> None:
    for own, standard in zip(Both.own, Both.standard, strict=True):
        assert [one.name for one in fields(own)] == [one.name for one in fields(standard)]
        assert own.__match_args__ == standard.__match_args__
        own(1)
        assert str(inspect.signature(own)).count(",") == str(inspect.signature(standard)).count(",")
    value = Both.own[1](1, note="n")
    assert replace(value, y=5) == Both.own[1](1, 5)
    assert asdict(value) == asdict(Both.standard[1](1, note="n"))
    assert not inspect.signature(Both.own[0]).parameters["note"].kind & inspect.Parameter.POSITIONAL_ONLY


def test_copies_and_pickles_come_back() -> None:
    value = Both.own[1](1, 2, [3])

    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(PICKLED(7))) == PICKLED(7)


def test_methods_of_its_own_stay() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Loose:
        a: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loose) and self.a.lower() == other.a.lower()

        def __hash__(self) -> int:
            return hash(self.a.lower())

        def __repr__(self) -> str:
            return "loose"

    assert Loose("A") == Loose("a")
    assert len({Loose("A"), Loose("a")}) == 1
    assert repr(Loose("A")) == "loose"


def test_a_value_that_contains_itself_can_be_shown() -> None:
    own, standard = Both.own[0](1), Both.standard[0](1)
    own.marks.append(own)
    standard.marks.append(standard)

    assert repr(own) == repr(standard)


def test_keywords_alone_where_the_class_asks_for_them() -> None:
    @records.dataclass(frozen=True, slots=True, kw_only=True)
    class Options:
        a: int
        b: int = 2

    assert repr(Options(a=1)).endswith("Options(a=1, b=2)")
    with pytest.raises(TypeError, match="positional"):
        Options(1)  # type: ignore[call-arg]


def test_what_is_mutable_is_the_standard_librarys() -> None:
    @records.dataclass(slots=True)
    class Count:
        n: int = 0

    count = Count()
    count.n += 1

    assert count == Count(1)


def test_only_what_is_called_is_compiled() -> None:
    """The reason for all of it: no source text is compiled when a class is made."""
    script = (
        "import sys; from eas_engine.records import dataclass\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, _: seen.append(name) if name in ('exec', 'compile') else None)\n"
        "class A:\n    'A value.'\n    __annotations__ = {'x': int}\n"
        "A = dataclass(frozen=True, slots=True)(A)\n"
        "made = len(seen); A(1); A(2)\n"
        "print(made, len(seen) > 0)"
    )
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout

    assert said.split() == ["0", "True"]
