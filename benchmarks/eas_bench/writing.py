"""Files that are whole or not there: two commands that write the same one leave what one of them wrote."""

from __future__ import annotations

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
    draft = target.with_name(f".{target.name[:200]}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
