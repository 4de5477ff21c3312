"""Xid errors: what the driver reports of a card by number (the kernel's log has ``NVRM: Xid``).

The driver doesn't tell whose fault it was. Some numbers are the doing of one process, whose context is lost
while the card and the other processes go on; some take every process on the card with them, and after some
the card is not to be used before it was reset. The numbers' meanings are those of NVIDIA's "XID Errors".
"""

from __future__ import annotations

from typing import Final, Literal

from eas_engine.records import dataclass

Scope = Literal["note", "process", "card", "gone"]
"""``note``: nobody is hurt; ``process``: one process's context is lost; ``card``: those of all processes on
it; ``gone``: and the card can't be used before it was reset."""

_KNOWN: Final[dict[int, tuple[Scope, str]]] = {
    8: ("process", "GPU stopped processing"),
    11: ("process", "invalid or corrupted push buffer stream"),
    12: ("process", "driver error handling a GPU exception"),
    13: ("process", "graphics engine exception (an illegal address or instruction in a kernel)"),
    31: ("process", "GPU memory page fault (an illegal address in a kernel)"),
    32: ("process", "invalid or corrupted push buffer stream"),
    38: ("process", "driver firmware error"),
    43: ("process", "GPU stopped processing (a kernel was reset)"),
    44: ("card", "graphics engine fault during context switch"),
    45: ("process", "preemptive cleanup: a process ended with work on the card"),
    46: ("gone", "GPU stopped processing"),
    48: ("card", "double-bit ECC error"),
    54: ("note", "auxiliary power is not connected"),
    61: ("gone", "internal micro-controller breakpoint"),
    62: ("gone", "internal micro-controller halt"),
    63: ("note", "ECC page retirement or row remapping recorded"),
    64: ("gone", "ECC page retirement or row remapping failed"),
    68: ("process", "video processor exception"),
    69: ("process", "graphics engine class error"),
    74: ("card", "NVLink error"),
    79: ("gone", "GPU has fallen off the bus"),
    92: ("note", "high rate of single-bit ECC errors"),
    94: ("process", "contained ECC error"),
    95: ("gone", "uncontained ECC error"),
    109: ("process", "context switch timeout"),
    119: ("gone", "GSP RPC timeout"),
    120: ("gone", "GSP error"),
    121: ("note", "C2C NVLink error"),
    140: ("gone", "unrecovered ECC error"),
    143: ("gone", "GPU initialization error"),
    154: ("note", "the recovery action of the card has changed"),
}

LOST: Final = "the card doesn't answer any more"
"""Text of a fault that the driver reported no Xid of."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happened to a card.

    Attributes:
        uuid: the card's; empty: the driver doesn't say which.
        xid: the number; None: there was none, the card was found lost.
        scope: whom it concerns.
        text: for a person.
    """

    uuid: str
    xid: int | None
    scope: Scope
    text: str


def fault(uuid: str, xid: int) -> Fault:
    """Of an Xid. One that isn't known concerns a process: those who look for faults must be asked."""
    scope, meaning = _KNOWN.get(xid, ("process", "see NVIDIA's list of Xid errors"))
    return Fault(uuid, xid, scope, f"Xid {xid}: {meaning}")


def lost(uuid: str) -> Fault:
    """Of a card that was there and isn't any more."""
    return Fault(uuid, None, "gone", LOST)
