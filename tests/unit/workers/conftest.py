from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eas_engine.batching.cut import Rules
from support.batches import EAGER, Making
from support.parts import Parts


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts()
    yield parts
    parts.close()


@pytest.fixture
def batching() -> Iterator[Making]:
    """Makes parts with these rules, and closes them."""
    made: list[Parts] = []

    def make(rules: Rules = EAGER, **more: Any) -> Parts:
        made.append(Parts(**{"queue": 50, "batching": rules, **more}))
        return made[-1]

    yield make
    for parts in made:
        parts.close()
