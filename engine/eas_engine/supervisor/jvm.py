"""The file that a Java virtual machine leaves when it crashes: ``hs_err_pid<pid>.log``.

It says where it puts it, on stdout; without that line it is looked for where it lies by default: the working
directory, or ``/tmp`` when that can't be written (``-XX:ErrorFile`` moves it).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_TOLD = "# An error report file with more information is saved as"
_HEAD_BYTES = 4096
_FALL_BACK = Path("/tmp")  # noqa: S108 - the virtual machine's own


def find(pid: int, directory: str, lines: Sequence[str], started_at: float) -> Path | None:
    """The file of this process, written since ``started_at`` (since the epoch); None: there is none."""
    name = f"hs_err_pid{pid}.log"
    candidates = [*_told(lines), *([Path(directory) / name] if directory else []), _FALL_BACK / name]
    for path in candidates:
        try:
            if path.is_file() and path.stat().st_mtime >= started_at - 1:
                return path
        except OSError:
            continue
    return None


def _told(lines: Sequence[str]) -> list[Path]:
    """The path is on the line behind the announcement."""
    found = []
    for number, line in enumerate(lines):
        if line.startswith(_TOLD):
            rest = line.partition(":")[2].strip() or "".join(lines[number + 1 : number + 2])
            path = Path(rest.lstrip("# ").strip())
            if path.is_absolute():
                found.append(path)
    return found[::-1]


def reason(path: Path) -> str:
    """What happened, by the head of the file: ``SIGSEGV (0xb) in C  [libfoo.so+0x1139]  crash+0x9``."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return reason_of(head)


def reason_of(head: str) -> str:
    """See ``reason``."""
    lines = [line.lstrip("#").strip() for line in head.splitlines() if line.startswith("#")]
    what = next((line for line in lines if re.match(r"SIG[A-Z]+ |Internal Error|EXCEPTION_", line)), "")
    what = what.partition(" at pc=")[0].partition(", pid=")[0]
    if not what:
        what = next((line for line in lines if "insufficient memory" in line or "Out of Memory" in line), "")
    frames = [number for number, line in enumerate(lines) if line.startswith("Problematic frame")]
    frame = lines[frames[0] + 1] if frames and frames[0] + 1 < len(lines) else ""
    return " in ".join(filter(None, (what, frame)))
