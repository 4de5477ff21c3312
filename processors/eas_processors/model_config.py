"""``model_config`` of a preset: a JSON object whose keys the preset knows, each of one type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def read_config(text: str, known: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The object, checked.

    Args:
        text: as ``initialize`` gets it; empty: an empty object.
        known: the type of each key's value.

    Raises:
        ValueError: it is no object, has an unknown key, or a value of another type.
    """
    if not text.strip():
        return {}
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"model_config is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"model_config: expected a JSON object, not {text[:60]}")  # noqa: TRY004 - a bad value
    for key, value in config.items():
        if key not in known:
            raise ValueError(f'model_config: "{key}" is unknown; known: {", ".join(sorted(known)) or "none"}')
        wanted = known[key]
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join(_NAMES.get(kind, kind.__name__) for kind in kinds)
            raise ValueError(f'model_config: "{key}" is {json.dumps(value)[:60]}, expected {names}')
    return config


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
