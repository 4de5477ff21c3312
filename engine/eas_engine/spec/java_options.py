"""Options of a JVM that is started inside another program: fewer than the java command knows.

A JVM that gets an option it doesn't know refuses to start, so only those are refused here that it, or its
user, would misunderstand.
"""

from __future__ import annotations

import re
from typing import Final

_SEVERAL: Final = re.compile(r"^-X[^:\s]*\s|^-\S+\s+-[XD]")
_CLASS_PATH: Final = ("-cp", "-classpath", "--class-path", "-Djava.class.path")
_OF_THE_COMMAND: Final = ("-jar", "-version", "--version", "-help", "--help", "-h", "-?")
_WITH_VALUE: Final = ("--add-opens", "--add-exports", "--add-reads", "--add-modules", "--module-path")


def what_is_wrong(option: str) -> str:
    """Why a processor's JVM can't have it; empty when it may."""
    if not option.startswith("-"):
        return "expected an option that begins with -"
    if _SEVERAL.search(option):
        return "several options in one item: each needs an item of its own"
    name = re.split(r"[=\s]", option, maxsplit=1)[0]
    if name in _CLASS_PATH:
        return "the class path is the processor's package (processor_path)"
    if name in _OF_THE_COMMAND:
        return "an option of the java command, which isn't used: the JVM runs in the processor's host"
    if name in _WITH_VALUE and "=" not in option:
        return f"expected its value behind an equals sign: {name}=..."
    return ""
