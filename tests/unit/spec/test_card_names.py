"""What cards are called, and which of them an engine may use."""

from __future__ import annotations

import pytest

from eas_engine.devices import Gpu
from eas_engine.spec import card_names

SLICES = (Gpu("A100 1g.5gb", 1, "MIG-aa", "GPU-1a"), Gpu("A100 1g.5gb", 1, "MIG-ab", "GPU-1a"))
GPUS = (Gpu("A10", 1, "GPU-0a"), *SLICES, Gpu("A10", 1, "GPU-2a"))


def test_a_card_that_is_cut_into_slices_has_one_number() -> None:
    assert card_names.whole(GPUS) == ("GPU-0a", "GPU-1a", "GPU-2a")
    assert list(card_names.by_name((*GPUS, Gpu("old", 1)))) == ["GPU-0a", "MIG-aa", "MIG-ab", "GPU-2a", "4"]


@pytest.mark.parametrize(
    ("only", "left"),
    [
        (None, "GPU-0a MIG-aa MIG-ab GPU-2a"),
        ("", ""),
        ("-1", ""),
        ("0", "GPU-0a"),
        ("2, 0", "GPU-0a GPU-2a"),
        ("1", "MIG-aa MIG-ab"),
        ("GPU-2a,MIG-ab", "MIG-ab GPU-2a"),
        ("GPU-2", "GPU-2a"),
        ("GPU-0a,9,GPU-2a", "GPU-0a"),
        ("NoDevFiles", ""),
    ],
)
def test_what_the_engines_own_variable_leaves(only: str | None, left: str) -> None:
    assert [one.uuid for one in card_names.visible(GPUS, only)] == left.split()
