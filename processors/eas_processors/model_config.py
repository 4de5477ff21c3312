"""``model_config`` of a preset: a JSON object whose keys the preset knows.

The engine says what is wrong with it when it reads the service's file (``eas_engine.spec.model_config`` has
the same keys; a test sees to that). This is for whoever calls a preset without an engine, and for the values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Key:
    """What may stand at a key.

    Attributes:
        kind: the type of the value.
        least: the smallest number; in a list, of each of its items.
        one_of: the only texts; empty: any.
        items: the type of a list's items.
        length: of a list; None: any.
    """

    kind: type
    least: int | None = None
    one_of: tuple[str, ...] = ()
    items: type | None = None
    length: int | None = None


def read_config(text: str, known: Mapping[str, Key]) -> dict[str, Any]:
    """The object, checked.

    Args:
        text: as ``initialize`` gets it; empty: an empty object.
        known: what may stand at each key.

    Raises:
        ValueError: it is no object, has an unknown key, or a value that may not stand there.
    """
    if not text.strip():
        return {}
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"model_config is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"model_config: expected a JSON object, not {text[:_SHOWN]}")  # noqa: TRY004 - a bad value
    for key, value in config.items():
        if key not in known:
            raise ValueError(f'model_config: "{key}" is unknown; known: {", ".join(sorted(known)) or "none"}')
        wrong = _expected(known[key], value)
        if wrong:
            raise ValueError(f'model_config: "{key}" is {json.dumps(value)[:_SHOWN]}, expected {wrong}')
    return config


def _expected(key: Key, value: Any) -> str:
    """What should stand there instead; empty: the value may."""
    if type(value) is not key.kind:
        return _ONE[key.kind]
    values: list[Any] = value if isinstance(value, list) else [value]
    kind = key.items if key.kind is list else key.kind
    if any(type(one) is not kind for one in values):
        return f"a list of {_MANY[kind]}" if kind else ""
    if key.length is not None and len(values) != key.length:
        return f"{key.length} {_MANY[kind] if kind else 'items'}"
    if key.least is not None and any(one < key.least for one in values):
        return f"at least {key.least}"
    if key.one_of and value not in key.one_of:
        return f"one of {', '.join(key.one_of)}"
    return ""


_ONE = {bool: "true or false", int: "a whole number", str: "a text", list: "a list"}
_MANY = {int: "whole numbers", str: "texts"}
