"""What holds for every test."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No time limit on one example: a slow machine, or a slow first example, is no failure.
settings.register_profile("eas", deadline=None, print_blob=True)
settings.load_profile("eas")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes that aren't text name no test: what gzip writes has the second in it, anew in each process.

    Processes that share the tests (pytest-xdist) must give them the same names.
    """
    del config
    return argname if isinstance(val, bytes) and not val.isascii() else None
