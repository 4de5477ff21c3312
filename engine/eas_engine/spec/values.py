"""How single values are read, and how a parameter is declared.

The file's authors write ``"true"``, ``"123"`` and ``140500`` where a bool, a number and a text are meant; all
three are taken. What is *not* taken: ``true`` for a number (it would become 1), ``1.5`` for an integer,
``"1_000"``.

Every coercion raises ``ValueError`` with the words "expected ..."; ``load`` adds path, line and value.
"""

from __future__ import annotations

import json
import os
import re
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_PLUGINS: Final = "PYDANTIC_DISABLE_PLUGINS"
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,2})?")
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([KMGT]?)(i?)B?", re.IGNORECASE)
_PERCENTAGE: Final = re.compile(r"[0-9]{1,4}%")
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

LARGEST: Final = 2**53
"""Numbers beyond this lose precision in JSON readers, and none of the parameters needs one."""


class Section(BaseModel):
    """An object of the file: frozen; in the file the parameter's own spelling, in code the field's name."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, extra="ignore", hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def built(cls) -> type[Self]:
        """The class, ready to validate: without pydantic's plugins, which a file's values have no use for.

        To find them pydantic reads the metadata of every package that is installed beside the engine.
        """
        if not cls.__pydantic_complete__:
            before = os.environ.get(_PLUGINS)
            os.environ[_PLUGINS] = "__all__"
            try:
                cls.model_rebuild()
            finally:
                if before is None:
                    os.environ.pop(_PLUGINS, None)
                else:
                    os.environ[_PLUGINS] = before
        return cls


def parameter(
    default: Any = ...,
    meaning: str = "",
    *,
    key: str | None = None,
    unit: str | None = None,
    shown_default: str | None = None,
    ours: bool = False,
    secret: bool = False,
    **constraints: Any,
) -> Any:
    """Declare one parameter: its default, what it does here, and how it is documented.

    ``key`` is the name in the file where it isn't the field's; ``shown_default`` replaces the default in the
    docs where that is a rule and not a value; ``ours`` marks parameters that the cloud doesn't have.
    """
    extra = {"unit": unit, "shown_default": shown_default, "ours": ours or None, "secret": secret or None}
    known: dict[str, Any] = {name: value for name, value in extra.items() if value is not None}
    if "default_factory" not in constraints:
        constraints["default"] = default
    return Field(alias=key, description=meaning, json_schema_extra=known or None, **constraints)


def section(meaning: str) -> Any:
    """Declare an object whose members all have defaults.

    It is filled in by the outer model's own validator: an instance as default would have pydantic build one
    more validator for each class, which costs a start 50 ms.
    """
    return Field(default_factory=dict, validate_default=True, description=meaning)


def to_boolean(value: object) -> bool:
    """``true``, ``false``, the same as text; 0 and 1, which the cloud's own examples use."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in ("true", "false", "1", "0"):
        return value.strip().lower() in ("true", "1")
    raise ValueError("expected true or false")


def to_integer(value: object) -> int:
    """An integer, also as text; ``5.0`` is one, ``5.5`` and ``true`` aren't."""
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ValueError("expected an integer")
    return value


def to_number(value: object) -> float:
    """A finite number, also as text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise ValueError("expected a number")
    return float(value)


def to_text(value: object) -> str:
    """Text; numbers are taken as they print (``"workspace_id": 140500``, ``"cuda": 11.2``)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("expected text")  # noqa: TRY004 - what pydantic turns into a complaint
    return value


def to_free_text(value: object) -> str:
    """The value of a label or environment variable: any scalar, ``true`` written as JSON writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return to_text(value)


def to_json_text(value: object) -> str:
    """Text as it is; anything else as JSON text (``model_config`` may be an object)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def to_bytes(value: object) -> int:
    """A size in bytes: an integer, or text such as ``64Mi`` or ``1.5G``; suffixes are powers of 1024."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        number, power, _ = match.groups()
        value = int(float(number) * 1024 ** _POWERS[power.upper()]) if power else float(number)
    try:
        return to_integer(value)
    except ValueError:
        raise ValueError("expected a size: bytes, or a number with Ki, Mi or Gi") from None


def to_disk_bytes(value: object) -> int:
    """A disk size: a plain number counts GB, as in the cloud; text may carry its own suffix (``100Gi``)."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())) and match.group(2):
        return to_bytes(value)
    try:
        return int(to_number(value) * 2**30)
    except ValueError:
        raise ValueError("expected a size such as 100Gi, or a number of GB from 0 to 2000") from None


def to_share(value: object) -> int | str:
    """A number of instances, or a percentage of them."""
    if isinstance(value, str) and _PERCENTAGE.fullmatch(value.strip()):
        return value.strip()
    try:
        number = to_integer(value)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError('expected a number of instances, or a percentage such as "2%"')
    return number


def to_named_values(value: object) -> object:
    """``{"A": "b"}`` is taken for ``[{"name": "A", "value": "b"}]``."""
    if isinstance(value, dict):
        return [{"name": name, "value": inner} for name, inner in value.items()]
    return value


Boolean = Annotated[bool, BeforeValidator(to_boolean)]
Integer = Annotated[int, BeforeValidator(to_integer)]
Number = Annotated[float, BeforeValidator(to_number)]
Text = Annotated[str, BeforeValidator(to_text)]
FreeText = Annotated[str, BeforeValidator(to_free_text)]
JsonText = Annotated[str, BeforeValidator(to_json_text)]
Bytes = Annotated[int, BeforeValidator(to_bytes)]
DiskBytes = Annotated[int, BeforeValidator(to_disk_bytes)]
Share = Annotated[int | str, BeforeValidator(to_share)]
