from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.parts import Parts


@pytest.fixture
def make() -> Iterator[Callable[..., Parts]]:
    """A data plane with limits of the test's own."""
    made: list[Parts] = []

    def make(**limits: Any) -> Parts:
        made.append(Parts(**limits))
        return made[-1]

    yield make
    for parts in made:
        parts.close()


@pytest.fixture
def parts(make: Callable[..., Parts]) -> Parts:
    """A data plane."""
    return make()
