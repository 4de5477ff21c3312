"""A fault of a card reaches the placer and the instances that it concerns."""

from __future__ import annotations

import pytest

from eas_engine.card_faults import CardFaults
from eas_engine.devices import Gpu
from eas_engine.devices.xid import Fault, Scope

A, SLICE, B = "GPU-a", "MIG-a1", "GPU-b"


def fault(uuid: str, scope: Scope) -> Fault:
    return Fault(uuid, 1, scope, "Xid 1: words")


class Told:
    """Placer and instances, in the order in which they were told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def lose(self, card: str) -> None:
        self.calls.append(("lose", card))

    def regain(self, card: str) -> None:
        self.calls.append(("regain", card))

    def card_back(self, card: str) -> None:
        self.calls.append(("back", card))

    def card_lost(self, card: str, why: str) -> None:
        self.calls.append(("lost", card, why))

    def check_card(self, card: str, why: str) -> None:
        self.calls.append(("check", card, why))


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        (fault(A, "note"), []),
        (fault(A, "process"), [("check", A)]),
        (fault(A, "card"), [("check", A)]),
        (fault("", "process"), [("check", "")]),
        (fault("", "gone"), [("check", "")]),
        (fault(A, "gone"), [("lose", A), ("lost", A), ("lost", SLICE)]),
        (fault(B, "gone"), [("lose", B), ("lost", B)]),
        (fault(A, "back"), [("regain", A), ("back", A), ("back", SLICE)]),
    ],
)
def test_who_hears_of_it(fault: Fault, calls: list[tuple[str, ...]]) -> None:
    told = Told()
    gpus = (Gpu("card", 1, SLICE, A), Gpu("card", 1, B))
    CardFaults(told, told.lose, told.regain, lambda: gpus).happened(fault)
    assert [one[:2] for one in told.calls] == calls
    assert {one[2] for one in told.calls[:] if len(one) > 2} <= {"Xid 1: words"}
