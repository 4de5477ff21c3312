"""Settings that a script gives the engine: ``default_properties().put("rpc.keepalive", 60000)``."""

from __future__ import annotations

from typing import Dict, Optional, Union

Value = Union[str, int, float]


class Properties:
    """Names and values. ``put`` works at any time before ``run()`` and inside ``initialize()``.

    ``rpc.keepalive`` (milliseconds) is the one that has an effect here, and only where service.json doesn't
    set it; everything else is shown in the engine's status.
    """

    def __init__(self) -> None:
        self._values: Dict[str, Value] = {}

    def put(self, key: str, value: Value) -> None:
        """Sets ``key``; a number and its text mean the same. ``TypeError`` for anything else."""
        if not _is_property(key, value):
            raise TypeError(f"a property is a name with a number or a str, not {key!r}: {value!r}")
        self._values[key] = value

    def get(self, key: str, default: Optional[Value] = None) -> Optional[Value]:
        """What was put under ``key``, as it was put."""
        return self._values.get(key, default)

    def as_text(self) -> Dict[str, str]:
        """All of them as the engine is told: values as text, bools as ``true`` and ``false``."""
        return {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in self._values.items()
        }

    def __repr__(self) -> str:
        return f"Properties({self._values!r})"


def _is_property(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, (str, int, float))


_default = Properties()


def default_properties() -> Properties:
    """The properties of this process, which is the processor's own."""
    return _default
