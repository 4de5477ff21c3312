"""The schemes of addresses that can be fetched: our own, those with a package we can name, and fsspec's.

fsspec is asked only about a scheme that isn't in the table: importing it takes longer than reading the file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

OWN: Final = ("http", "https", "oss")
PACKAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "s3": "s3fs",
        "s3a": "s3fs",
        "gs": "gcsfs",
        "gcs": "gcsfs",
        "hdfs": "pyarrow",
        "webhdfs": "requests",
        "az": "adlfs",
        "abfs": "adlfs",
        "sftp": "paramiko",
        "ssh": "paramiko",
        "smb": "smbprotocol",
        "hf": "huggingface_hub",
        "dvc": "dvc",
        "jfs": "juicefs",
    }
)
"""What serves a scheme, beside fsspec itself."""
_LONGEST: Final = 100  # characters of a scheme that are compared with others


def of_fsspec() -> Iterable[str] | None:
    """What the installed fsspec knows, plug-ins included; None: it isn't installed."""
    try:
        found: Iterable[str] = importlib.import_module("fsspec").available_protocols()
    except ImportError:
        return None
    return found


def what_is_wrong(scheme: str, installed: Callable[[], Iterable[str] | None] = of_fsspec) -> str:
    """Why nothing with this scheme can be fetched; empty: nothing speaks against it."""
    if not scheme or scheme in OWN or scheme in PACKAGES:
        return ""
    found = installed()
    known = {*OWN, "file", *PACKAGES, *(found or ())}
    if scheme in known:
        return ""
    from difflib import get_close_matches  # noqa: PLC0415 - only files with a typo pay for it

    close = get_close_matches(scheme[:_LONGEST], sorted(known), n=1)
    if close:
        return f'"{scheme}://" is no scheme that is known here, did you mean {close[0]}?'
    more = "; fsspec, which knows more, isn't installed: pip install fsspec" if found is None else ""
    return f'"{scheme}://" is no scheme that is known here: {", ".join((*OWN, "file", *PACKAGES))}{more}'
