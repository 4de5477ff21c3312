"""A processor that misbehaves when it is told to, for tests and for chaos experiments with a real service.

``ENTRY`` is what ``processor_entry`` names; ``app.py`` says how to use it.
"""

from __future__ import annotations

from pathlib import Path

ENTRY = Path(__file__).with_name("app.py")
