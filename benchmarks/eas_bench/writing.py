"""Files that are whole or not there: two commands that write the same one leave what one of them wrote."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Into a file, in UTF-8; what was there stays until all of it is written. Errors: OSError.

    A pipe or a device (``/dev/stdout``, ``>(command)``) is written to as it is.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        path.write_text(text, encoding="utf-8")
        return
    draft = _draft(target)
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def check(path: Path) -> None:
    """Whether :func:`write` could: a draft is begun and taken away again, for permissions alone say little.

    ``/proc``, and a disk that is mounted read-only, let root have every permission and take no file. A file
    that is there already must be writable itself, although it would be replaced. Errors: OSError.
    """
    target = path.resolve()
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if target.exists() and not target.is_file():
        return
    draft = _draft(target)
    draft.touch(exist_ok=False)
    draft.unlink()


def _draft(target: Path) -> Path:
    return target.with_name(f".{target.name[:200]}.{os.getpid()}")
