"""Addresses of models and processors: what can be told by reading them.

An address is a local path, or ``scheme://...``; ``file://`` is a local path as well. It may end with
``#sha256=<64 hex digits>``, the *pin*: what comes must have that digest. Addresses may hold secrets (a
password before the host, a signature in the query): only what ``secrecy.redacted`` leaves of them is shown,
logged or written down.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

ARCHIVES: Final = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".bz2", ".zip")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PIN: Final = re.compile(r"#sha256=(.*)\Z", re.IGNORECASE | re.DOTALL)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def scheme(address: str) -> str:
    """The scheme of a remote address (``oss``, ``https``); empty for a local path, ``file://`` too."""
    match = _SCHEME.match(address)
    found = match.group(1).lower() if match else ""
    return "" if found == "file" else found


def is_archive(address: str) -> bool:
    """Whether the name is an archive's."""
    return name_of(address).lower().endswith(ARCHIVES)


def is_folder(address: str) -> bool:
    """Whether the address says that it means a folder: it ends with ``/``."""
    return path_of(address).endswith("/")


def without_pin(address: str) -> str:
    """The address alone."""
    return _PIN.sub("", address)


def pin(address: str) -> str:
    """The digest that what comes must have, in lower case; empty: none.

    Errors: ValueError when it isn't 64 hex digits.
    """
    match = _PIN.search(address)
    if match is None:
        return ""
    digest = match.group(1).lower()
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"#sha256={match.group(1)}: expected 64 hex digits")
    return digest


def local_path(address: str) -> str:
    """The path of a local address: as it is written, or what ``file://`` names."""
    bare = without_pin(address)
    match = _SCHEME.match(bare)
    if match is None:
        return bare
    host, slash, rest = bare[match.end() :].partition("/")
    return urllib.parse.unquote(slash + rest if host in ("", "localhost") else f"{host}/{rest}")


def path_of(address: str) -> str:
    """The path in an address as it is written, without pin; of ``http(s)`` without query and fragment."""
    bare = without_pin(address)
    if scheme(address) in ("http", "https"):
        return bare.partition("://")[2].partition("#")[0].partition("?")[0].partition("/")[2]
    return bare


def name_of(address: str) -> str:
    """The last part of the path: the name of the file (``oss://b/models/m.tar.gz`` -> ``m.tar.gz``)."""
    name = path_of(address).rstrip("/").rpartition("/")[2]
    return urllib.parse.unquote(name) if scheme(address) in ("http", "https") else name


def names_endpoint(address: str) -> bool:
    """Whether an ``oss://`` address brings its endpoint along: ``oss://bucket.endpoint/key``."""
    return "." in address.partition("://")[2].partition("/")[0]
