"""A fault of a card reaches the placer and the instances that it concerns."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from eas_engine.card_faults import CardFaults
from eas_engine.spec.machine import Gpu

A, SLICE, B = "GPU-a", "MIG-a1", "GPU-b"


@dataclass(frozen=True)
class Fault:
    uuid: str
    scope: str
    text: str = "Xid 1: words"


class Told:
    """Placer and instances, in the order in which they were told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def lose(self, card: str) -> None:
        self.calls.append(("lose", card))

    def card_lost(self, card: str, why: str) -> None:
        self.calls.append(("lost", card, why))

    def check_card(self, card: str, why: str) -> None:
        self.calls.append(("check", card, why))


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        (Fault(A, "note"), []),
        (Fault(A, "process"), [("check", A)]),
        (Fault(A, "card"), [("check", A)]),
        (Fault("", "process"), [("check", "")]),
        (Fault("", "gone"), [("check", "")]),
        (Fault(A, "gone"), [("lose", A), ("lost", A), ("lost", SLICE)]),
        (Fault(B, "gone"), [("lose", B), ("lost", B)]),
    ],
)
def test_who_hears_of_it(fault: Fault, calls: list[tuple[str, ...]]) -> None:
    told = Told()
    gpus = (Gpu("card", 1, SLICE, A), Gpu("card", 1, B))
    CardFaults(told, told.lose, lambda: gpus).happened(fault)
    assert [one[:2] for one in told.calls] == calls
    assert {one[2] for one in told.calls[:] if len(one) > 2} <= {"Xid 1: words"}
