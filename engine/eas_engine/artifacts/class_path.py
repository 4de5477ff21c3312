"""Where a Java processor's classes are looked for.

A jar alone (``processor_path`` is the jar, or there is only ``processor_entry``) is its own class path; those
that happen to lie beside it don't count. Of a package (``processor_path`` is a directory or an archive)
everything counts: the jar that ``processor_entry`` names, the directory itself, and all other jars in it, in
the order of their names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eas_engine.spec import addresses

JAR: Final = ".jar"


def class_path(processor_path: str, processor_dir: Path, entry: Path) -> tuple[str, ...]:
    """The parts of it, absolute.

    Args:
        processor_path: the address in service.json.
        processor_dir: where the package lies.
        entry: the jar, or ``processor_dir`` when none is named.
    """
    if not processor_path or addresses.name_of(processor_path).lower().endswith(JAR):
        return (str(entry),)
    jars = sorted(path for path in processor_dir.rglob(f"*{JAR}") if path.is_file())
    first = [entry] if entry != processor_dir else []
    return tuple(dict.fromkeys(map(str, (*first, processor_dir, *jars))))
