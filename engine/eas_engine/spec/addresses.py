"""Addresses of models and processors: what can be told by reading them."""

from __future__ import annotations

import re
from typing import Final

ARCHIVES: Final = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".bz2", ".zip")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme(address: str) -> str:
    """The scheme of a remote address (``oss``, ``https``); empty for a local path."""
    match = _SCHEME.match(address)
    return match.group(1).lower() if match else ""


def is_archive(address: str) -> bool:
    """Whether the name is an archive's."""
    return address.lower().endswith(ARCHIVES)
