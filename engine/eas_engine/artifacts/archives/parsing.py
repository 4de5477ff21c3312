"""What the standard library's parsers raise over a broken archive, as refusals."""

from __future__ import annotations

import contextlib
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from eas_engine.artifacts.archives.budget import Refused, shown

BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    LookupError,
    OverflowError,
    RecursionError,
    NotImplementedError,
)


@contextlib.contextmanager
def naming(entry: bytes) -> Iterator[None]:
    """Adds the entry's name to what is wrong with it."""
    try:
        yield
    except Refused as refused:
        raise Refused(refused.reason, refused.entry or shown(entry)) from refused.__cause__
    except EOFError as error:
        raise Refused("the archive is cut short in the middle of it", shown(entry)) from error
    except BROKEN as error:
        raise Refused(f"it is damaged ({error})", shown(entry)) from error
