"""The keys of ``eas-engine.toml``: types, ranges and meaning. ``docs/settings.md`` is made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

from eas_engine.spec import cpu_list
from eas_engine.spec.values import Integer, Section, Text, parameter, section, to_bytes

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""Of a group or a type."""
_MB: Final = 2**20


def to_cpus(value: object) -> tuple[int, ...]:
    """CPUs, or NUMA nodes, as the kernel lists them, or as a list of numbers."""
    if isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value):
        value = ",".join(map(str, value))
    if not isinstance(value, str):
        raise ValueError('expected text such as "0-3,8", or a list of numbers')  # noqa: TRY004 - for pydantic
    return cpu_list.numbers(value)


def to_cards(value: object) -> tuple[str, ...]:
    """Cards by their numbers, as ``nvidia-smi`` has them, or by UUID: ``GPU-...``, ``MIG-...``."""
    if isinstance(value, str):
        if not any(one.isalpha() for one in value):
            return tuple(map(str, cpu_list.numbers(value))) if value.strip() else ()
        value = [one.strip() for one in value.split(",")]
    whole = isinstance(value, list) and all(type(one) in (int, str) for one in value)
    if not whole or any(str(one).startswith("-") or not str(one) for one in value):  # type: ignore[attr-defined]
        raise ValueError('expected numbers such as "0-1" or [0, 1], or UUIDs: ["GPU-5fd4..."]')
    return tuple(map(str, value))  # type: ignore[call-overload]


def to_memory(value: object) -> int:
    """Bytes: text with a suffix (``64Gi``); a plain number counts MB, as ``metadata.memory`` does."""
    suffixed = isinstance(value, str) and not value.strip().isdigit()
    try:
        return to_bytes(value) * (1 if suffixed else _MB)
    except ValueError:
        raise ValueError('expected a size such as "64Gi", or a number of MB') from None


Cpus = Annotated[tuple[int, ...], BeforeValidator(to_cpus)]
Cards = Annotated[tuple[str, ...], BeforeValidator(to_cards)]
Memory = Annotated[int, BeforeValidator(to_memory)]


class GroupKeys(Section):
    """``[groups.NAME]``: a resource group."""

    cpus: Cpus | None = parameter(
        None,
        "The CPUs of the group: `0-3,8`, as `lscpu` numbers them. No CPU may be in two groups. Either this "
        "or `numa`.",
        shown_default="those of `numa`",
    )
    numa: Cpus | None = parameter(
        None,
        "The NUMA nodes whose CPUs the group gets: `[0]` or `[0, 1]`.",
        shown_default="none",
    )
    memory: Memory | None = parameter(
        None,
        "Memory that is set aside for the group: its instances' `metadata.memory` is counted against it, and "
        "nobody else's. `64Gi`, or a number of MB.",
        shown_default="what no group has for itself",
        gt=0,
    )
    priority: Integer = parameter(
        0,
        "Higher is better: with `metadata.resource_rebalancing` instances that run in a lower group move up.",
        ge=-1000,
        le=1000,
    )
    gpus: Cards | None = parameter(
        None,
        "The GPUs of the group, with all MIG slices of them: `0-1` or `[0, 1]` as `nvidia-smi` numbers them, "
        'or by UUID, `["GPU-5fd4..."]`: a number is another card once one is lost or added. No GPU may be in '
        "two groups; `[]`: it has none.",
        shown_default="what no group has for itself",
    )


class TypeKeys(Section):
    """``[types.NAME]``: a machine type of one's own."""

    cpu: Integer = parameter(..., "CPUs.", ge=1, le=4096)
    memory: Memory = parameter(..., "Memory: `16Gi`, or a number of MB.", ge=_MB)
    gpu: Integer = parameter(0, "Whole GPUs.", ge=0, le=1024)
    gpu_memory: Integer = parameter(0, "Memory of one GPU, in GB.", ge=0, le=2**20)


class Keys(Section):
    """The whole file."""

    host: Text | None = parameter(
        None, "As `--host`: where requests are taken.", shown_default="`0.0.0.0`", min_length=1
    )
    port: Integer | None = parameter(
        None, "As `--port`; 0 = any free port.", shown_default="8080", ge=0, le=65535
    )
    admin_host: Text | None = parameter(
        None,
        "As `--admin-host`: where health, metrics and status are shown.",
        shown_default="`127.0.0.1`",
        min_length=1,
    )
    admin_port: Integer | None = parameter(
        None, "As `--admin-port`; 0 = any free port.", shown_default="9090", ge=0, le=65535
    )
    cache_size: Text | None = parameter(
        None,
        "As `--cache-size`: how large the cache of fetched artifacts may be, `200G` or `30%` of its disk.",
        shown_default="`50%`",
        min_length=1,
    )
    log_format: Literal["console", "json"] | None = parameter(
        None, "As `--log-format`: `console` or `json`.", shown_default="`console`"
    )
    groups: Mapping[str, GroupKeys] = section("Resource groups, by name.")
    types: Mapping[str, TypeKeys] = section("Own machine types, by name.")


TABLES: Final[Mapping[str, type[Section]]] = {"groups": GroupKeys, "types": TypeKeys}
OPTIONS: Final = tuple(name for name in Keys.model_fields if name not in TABLES)
"""The keys that are flags of ``serve``, too."""
