"""What one instance has of the machine, and how that is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from eas_engine.records import dataclass
from eas_engine.spec import cpu_list

WHOLE: Final = 1000
"""Thousandths of a CPU: figures are added up as integers, so that three times 0.1 are 0.3."""
_LONGEST: Final = 300
_MOST_NAMED: Final = 6
_GIB: Final = 2**30
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An instance's place, with what it was asked for.

    Attributes:
        service: with ``workspace`` and ``instance`` the instance's full name.
        cpu: thousandths of a CPU that are counted; 0: none are (not given, or best effort).
        memory: bytes that are counted; 0: none are.
        group: its pool's name; empty: none.
        within: the CPUs of that pool, as the engine knew it. Pools are told by their CPUs, not by their
            names, so that engines with different settings, or different CPUs, count right.
        shares_memory: whether the memory is that of all pools without some for themselves.
        cpus: where it runs; empty: anywhere in the pool.
        node: the NUMA node of these, None without.
        alone: nobody else whose CPUs are counted runs there.
        cards: UUIDs of its cards or slices, one of them with ``gpu_memory``; without, they are its alone.
        gpu_memory: bytes of its one card's memory; 0: all of it.
        gpu_percent: of that card's compute; 0: not counted.
    """

    service: str
    instance: str
    workspace: str = ""
    cpu: int = 0
    memory: int = 0
    group: str = ""
    within: tuple[int, ...] = ()
    shares_memory: bool = True
    cpus: tuple[int, ...] = ()
    node: int | None = None
    alone: bool = False
    cards: tuple[str, ...] = ()
    gpu_memory: int = 0
    gpu_percent: int = 0

    @property
    def label(self) -> str:
        """The instance's name for a person of any workspace."""
        return f"{self.workspace}/{self.instance}" if self.workspace else self.instance

    def as_data(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "instance": self.instance,
            "cpu": self.cpu / WHOLE,
            "memory": self.memory,
            "group": self.group,
            "within": cpu_list.text(self.within),
            "shares_memory": self.shares_memory,
            "cpus": cpu_list.text(self.cpus),
            "node": self.node,
            "alone": self.alone,
            "cards": list(self.cards),
            "gpu_memory": self.gpu_memory,
            "gpu_percent": self.gpu_percent,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any], service: str, workspace: str) -> Claim:
        """What ``as_data`` gave. Errors: ValueError for anything else, KeyError when a key lacks."""
        node = data["node"]
        return cls(
            service=service,
            workspace=workspace,
            instance=_text(data["instance"]),
            cpu=round(_number(data["cpu"]) * WHOLE),
            memory=int(_number(data["memory"])),
            group=_text(data["group"]),
            within=_cpus(data["within"]),
            shares_memory=_flag(data["shares_memory"]),
            cpus=_cpus(data["cpus"]),
            node=None if node is None else int(_number(node)),
            alone=_flag(data["alone"]),
            cards=_names(data.get("cards", [])),  # engines of earlier versions know of none
            gpu_memory=int(_number(data.get("gpu_memory", 0))),
            gpu_percent=int(_number(data.get("gpu_percent", 0))),
        )


def thousandths(cpu: float) -> int:
    """A number of CPUs; what is given is never nothing."""
    return max(1, round(cpu * WHOLE))


def size(count: int) -> str:
    """``1.5 GiB``."""
    return f"{count / _GIB:.4g} GiB" if count >= _GIB else f"{count / _MIB:.4g} MiB"


def named(holders: Sequence[tuple[str, str]]) -> str:
    """``, of which digits-0 has 2, other/resnet-1 has 2``; empty when nobody has anything."""
    shown = [f"{name} has {figure}" for name, figure in holders[:_MOST_NAMED]]
    if more := len(holders) - len(shown):
        shown.append(f"{more} more have some")
    return f", of which {', '.join(shown)}" if shown else ""


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise ValueError("expected a name")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("expected a list of names")  # noqa: TRY004 - as above
    return tuple(map(_text, value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2**62:
        raise ValueError("expected a number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")  # noqa: TRY004 - one kind of error for what can't be read
    return value


def _cpus(value: object) -> tuple[int, ...]:
    return cpu_list.numbers(text) if (text := str(value)) else ()
