"""Xid errors: what the driver reports of a card by number (the kernel's log has ``NVRM: Xid``).

The driver doesn't tell whose fault it was. Some numbers are the doing of one process, whose context is lost
while the card and the other processes go on; some take every process on the card with them, and after some
the card is not to be used before it was reset.

*Sources.* Numbers and meanings are those of NVIDIA's "Xid Catalog" (docs.nvidia.com/deploy/xid-errors, as of
R575) and of ``nverror.h`` in the open kernel modules. What the catalogue's immediate action is RESET_GPU,
RESTART_VM or RESTART_BM for is ``gone``, RESTART_APP is ``process``, IGNORE a ``note`` where no context can
have been lost. Departures: 109 is RESET_GPU there, but an application's in NVIDIA's device plugin for
Kubernetes, which goes on using the card after 13, 31, 43, 45, 68 and 109; after 136, 155 and 156 the card
computes, only not over NVLink or not with all of its units. The processes are asked in all of these cases.
"""

from __future__ import annotations

from typing import Final, Literal

from eas_engine.records import dataclass

Scope = Literal["note", "process", "card", "gone", "back"]
"""``note``: nobody is hurt; ``process``: one process's context is lost; ``card``: those of all processes on
it; ``gone``: and the card can't be used before it was reset; ``back``: one that didn't answer does again."""

_KNOWN: Final[dict[int, tuple[Scope, str]]] = {
    8: ("process", "GPU stopped processing"),
    11: ("process", "invalid or corrupted push buffer stream"),
    13: ("process", "graphics engine exception (an illegal address or instruction in a kernel)"),
    14: ("note", "an error that somebody injected"),
    25: ("process", "invalid or illegal push buffer stream"),
    31: ("process", "GPU memory page fault (an illegal address in a kernel)"),
    32: ("process", "invalid or corrupted push buffer stream"),
    37: ("process", "driver firmware error"),
    38: ("process", "driver firmware error"),
    39: ("process", "copy engine exception"),
    40: ("process", "copy engine exception"),
    41: ("process", "copy engine exception"),
    43: ("process", "GPU stopped processing (a kernel was reset)"),
    44: ("process", "graphics engine fault during context switch"),
    45: ("process", "preemptive cleanup: a process ended with work on the card"),
    46: ("gone", "GPU stopped processing"),
    48: ("card", "double-bit ECC error"),
    54: ("note", "auxiliary power is not connected"),
    61: ("note", "internal micro-controller breakpoint"),
    62: ("gone", "internal micro-controller halt"),
    63: ("note", "GPU memory was remapped after ECC errors"),
    64: ("gone", "GPU memory could not be remapped after ECC errors"),
    66: ("process", "illegal access by driver"),
    67: ("process", "illegal access by driver"),
    68: ("process", "video processor exception"),
    69: ("process", "graphics engine class error"),
    74: ("card", "NVLink error"),
    79: ("gone", "GPU has fallen off the bus"),
    80: ("process", "corrupted data sent to GPU"),
    92: ("note", "high rate of single-bit ECC errors"),
    93: ("note", "the InfoROM may not be written any more"),
    94: ("process", "contained memory error"),
    95: ("gone", "uncontained memory error"),
    106: ("note", "a test message"),
    107: ("note", "a test message"),
    109: ("process", "context switch timeout"),
    110: ("gone", "security fault"),
    119: ("gone", "GSP RPC timeout"),
    120: ("gone", "GSP error"),
    121: ("note", "corrected C2C error"),
    136: ("card", "NVLink training failed"),
    137: ("process", "NVLink privilege error (an illegal address on another card)"),
    140: ("gone", "unrecovered ECC error"),
    141: ("process", "CUDA fast path error"),
    143: ("gone", "GPU initialization error"),
    **dict.fromkeys(range(144, 151), ("card", "NVLink error")),
    151: ("gone", "key rotation error"),
    154: ("note", "the recovery action of the card has changed"),
    155: ("card", "NVLink error"),
    156: ("card", "a part of the card was retired"),
    157: ("note", "a part of the card could not be retired"),
    158: ("gone", "fatal timeout"),
    160: ("note", "a memory channel was retired"),
    161: ("note", "a memory channel could not be retired"),
    **dict.fromkeys(range(162, 166), ("note", "power smoothing has changed")),
    171: ("card", "uncorrectable error of the card's DRAM"),
    172: ("card", "uncorrectable error of the card's SRAM"),
}

LOST: Final = "the card doesn't answer any more"
"""Text of a fault that the driver reported no Xid of."""
BACK: Final = "the card answers again"


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


def back(uuid: str) -> Fault:
    """Of a card that was found lost and answers again."""
    return Fault(uuid, None, "back", BACK)
