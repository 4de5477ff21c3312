"""Files of services for the tests of reading, and a machine that is the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from eas_engine.spec import ConfigurationError, Loaded, Machine, load

_TEXT: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)
"""Any value that a JSON file can hold and the engine reads."""

GIB: Final = 2**30
MACHINE: Final = Machine(cpus=4, memory_bytes=8 * GIB, disk_free_bytes=50 * GIB)
PYTHON: Final[Mapping[str, Any]] = {
    "name": "demo",
    "processor_type": "python",
    "processor_entry": "app.py",
}
REFERENCE: Final = Path(__file__).parents[1] / "data" / "reference_example.json"


def read(
    directory: Path,
    content: object,
    *,
    flags: Sequence[str] = (),
    strict: bool = False,
    machine: Machine = MACHINE,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Write ``content`` (text, or anything JSON) as service.json, and load it."""
    path = directory / "service.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load(path, overrides=flags, strict=strict, machine=machine, environ=environ or {})


def problems_of(directory: Path, content: object, **options: Any) -> ConfigurationError:
    """Why reading it fails."""
    with pytest.raises(ConfigurationError) as caught:
        read(directory, content, **options)
    return caught.value


def python_service(**members: Any) -> dict[str, Any]:
    """A service that can be started, with more members."""
    return {**PYTHON, **members}
