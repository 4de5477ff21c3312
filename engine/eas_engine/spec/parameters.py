"""The parameters as a list, made from the models: what reading, checking, the docs and the JSON Schema go by.

A *section* is an object of the file whose members are parameters; a *list* has items that are sections; a
*map* is free-form (its keys are never split at dots); everything else is a *leaf*. Items of lists have paths
such as ``containers[].port``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cache
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from eas_engine.records import dataclass
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.values import Section


class Kind(enum.Enum):
    """How a parameter's value is read."""

    LEAF = "leaf"
    SECTION = "section"
    LIST = "list"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the file."""

    path: str
    parts: tuple[str, ...]
    """The keys in the file, from its top (items of lists left out)."""
    attributes: tuple[str, ...]
    """The same as the models' field names."""
    kind: Kind
    info: FieldInfo
    children: tuple[Parameter, ...] = ()

    @property
    def key(self) -> str:
        """The path without ``metadata.``: parameters may be written with it or without."""
        return self.path.removeprefix("metadata.")

    @property
    def extra(self) -> Mapping[str, Any]:
        """What ``parameter`` noted: unit, shown_default, ours, secret."""
        extra = self.info.json_schema_extra
        return extra if isinstance(extra, dict) else {}

    @property
    def named_values(self) -> bool:
        """Whether an object ``{"A": "b"}`` is taken for the list ``[{"name": "A", "value": "b"}]``."""
        return [child.parts[-1] for child in self.children] == ["name", "value"]

    @property
    def empty_counts(self) -> bool:
        """Whether the empty string is a value of its own here, rather than "not set"."""
        return self.path.endswith("[].value")

    def descendants(self) -> Iterator[Parameter]:
        """This parameter's children, theirs, and so on, in the order of the models."""
        for child in self.children:
            yield child
            yield from child.descendants()


class _Above(NamedTuple):
    parts: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The parameters that can stand in one place: the file itself, or an item of a list."""

    parameters: tuple[Parameter, ...]
    by_key: Mapping[str, Parameter] = field(repr=False)
    prefix: str = "metadata."

    def find(self, path: str) -> Parameter | None:
        """The parameter written as ``path``, in the file itself with or without ``metadata.``."""
        return self.by_key.get(path.removeprefix(self.prefix))

    def find_map(self, path: str) -> tuple[Parameter, str] | None:
        """The free-form map that ``path`` points into, and the rest of the path (one key, dots and all)."""
        key = path.removeprefix(self.prefix)
        for known, parameter in self.by_key.items():
            if parameter.kind is Kind.MAP and key.startswith(known + "."):
                return parameter, key[len(known) + 1 :]
        return None


def _shape(annotation: Any) -> tuple[Kind, type[Section] | None]:
    """What a field's type says about how it is read, and the model behind it."""
    if get_origin(annotation) in (Union, UnionType):
        inner = [one for one in get_args(annotation) if one is not type(None)]
        return _shape(inner[0]) if len(inner) == 1 else (Kind.LEAF, None)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return Kind.SECTION, annotation
    if get_origin(annotation) is tuple:
        kind, model = _shape(get_args(annotation)[0])
        return (Kind.LIST, model) if kind is Kind.SECTION else (Kind.LEAF, None)
    if get_origin(annotation) is Mapping:
        return Kind.MAP, None
    return Kind.LEAF, None


def _parameters(model: type[Section], prefix: str, above: _Above) -> Iterator[Parameter]:
    for name, info in model.model_fields.items():
        key = info.alias or name
        kind, inner = _shape(info.annotation)
        path, own = f"{prefix}{key}", _Above((*above.parts, key), (*above.attributes, name))
        below = {Kind.SECTION: f"{path}.", Kind.LIST: f"{path}[]."}.get(kind, "")
        children = tuple(_parameters(inner, below, own)) if inner else ()
        yield Parameter(path, *own, Kind.MAP if key == "model_config" else kind, info, children)


def _flat(parameters: tuple[Parameter, ...]) -> Iterator[Parameter]:
    for one in parameters:
        yield one
        if one.kind is Kind.SECTION:
            yield from _flat(one.children)


@cache
def service_parameters() -> Catalogue:
    """All parameters of service.json."""
    parameters = tuple(_parameters(ServiceSpec, "", _Above()))
    return Catalogue(parameters, {one.key: one for one in _flat(parameters)})


@cache
def item_parameters(path: str) -> Catalogue:
    """The parameters of one item of the list ``path`` (``containers``, ``autoscaler.scaleJobs``)."""
    listed = next(one for one in all_parameters() if one.path == path)
    start = len(path) + 3
    return Catalogue(listed.children, {one.path[start:]: one for one in _flat(listed.children)}, "")


@cache
def all_parameters() -> tuple[Parameter, ...]:
    """Every parameter, sections and items included, in the order of the models."""
    top = service_parameters().parameters
    return tuple(one for parameter in top for one in (parameter, *parameter.descendants()))


@cache
def settable() -> tuple[Parameter, ...]:
    """Every parameter that has a value of its own (all but sections)."""
    return tuple(one for one in all_parameters() if one.kind is not Kind.SECTION)


@cache
def parameter_at(path: str) -> Parameter:
    """The parameter with this canonical path; ``KeyError`` when there is none."""
    for one in all_parameters():
        if one.path == path:
            return one
    raise KeyError(path)


def value_of(spec: ServiceSpec, path: str) -> Any:
    """The value of a parameter that isn't inside a list; ``None`` inside a section that isn't set."""
    value: Any = spec
    for attribute in parameter_at(path).attributes:
        value = getattr(value, attribute) if value is not None else None
    return value
