"""``dataclass`` as of the standard library, but immutable ones with slots cost a seventh of the time to make.

The engine has some 200 of them. ``dataclasses`` writes source text for six methods of each and compiles it,
class by class: that was a third of the CPU time between exec and the first answer, for methods most of which
are never called. Here only ``__init__`` is written, when the first value is made; the others need nothing
but the names of the fields. What can be seen of a class is the same (``tests/unit/test_records.py`` holds
the two against each other), and for a type checker it is the standard library's own.

Modules that mypyc compiles take the standard library's, which mypyc knows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - what the others are to take from here
else:

    def dataclass(
        cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, kw_only: bool = False
    ) -> Any:
        """See ``dataclasses.dataclass``, whose other parameters nobody here needs."""
        if not (frozen and slots):
            return dataclasses.dataclass(cls, frozen=frozen, slots=slots, kw_only=kw_only)
        return _made(cls, kw_only=kw_only) if cls is not None else lambda cls: _made(cls, kw_only=kw_only)


_UNSET: Final = object()


def _made(cls: type, *, kw_only: bool) -> type:
    """The class with its slots and its methods; those that it defines itself stay."""
    own = {name for name, value in vars(cls).items() if name != "__hash__" or value is not None}
    slotted = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)
    made: type = slotted(cls)
    methods = {
        "__init__": _written_when_called(made),
        "__repr__": _shown,
        **_comparing(made),
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__getstate__": _state,
        "__setstate__": _restore,
    }
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    return made


def _written_when_called(cls: Any) -> Callable[..., None]:
    """An ``__init__`` that writes the true one, for the class it belongs to."""

    def __init__(self: object, *given: object, **named: object) -> None:  # noqa: N807
        written = _initialiser(cls)
        cls.__init__ = written
        written(self, *given, **named)

    return __init__


def _initialiser(cls: Any) -> Callable[..., None]:
    """``__init__``, as source text that names the parameters as the fields are named."""
    known: dict[str, Any] = {"__unset": _UNSET}
    plain: list[str] = []
    named: list[str] = []
    body: list[str] = []
    for number, one in enumerate(dataclasses.fields(cls)):
        known[f"__set{number}"] = getattr(cls, one.name).__set__
        value, default = one.name, ""
        if one.default is not dataclasses.MISSING:
            known[f"__default{number}"] = one.default
            default = f"=__default{number}"
        elif one.default_factory is not dataclasses.MISSING:
            known[f"__factory{number}"] = one.default_factory
            value, default = f"__factory{number}() if {one.name} is __unset else {one.name}", "=__unset"
        (named if one.kw_only else plain).append(f"{one.name}{default}")
        body.append(f" __set{number}(self, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    parameters = ", ".join(["self", *plain, *(["*", *named] if named else [])])
    source = "\n".join([f"def __init__({parameters}):", *body, " return None"])
    exec(source, known)  # noqa: S102 - as dataclasses does it: only the names of fields are in it
    written: Callable[..., None] = known["__init__"]
    written.__qualname__ = f"{cls.__qualname__}.__init__"
    written.__module__ = cls.__module__
    return written


def _comparing(cls: Any) -> dict[str, Callable[..., Any]]:
    """Values of one class are equal when their fields are."""
    values = attrgetter("__class__", *(one.name for one in dataclasses.fields(cls) if one.compare))

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


@recursive_repr()
def _shown(self: Any) -> str:
    fields = (f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({', '.join(fields)})"


def _refuse_to_set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)
