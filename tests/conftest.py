"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# No time limit on one example: a slow machine, or a slow first example, is no failure.
settings.register_profile("eas", deadline=None, print_blob=True)
settings.load_profile("eas")
