"""The README's blocks, so that what it shows can be held against what is.

A block that a test knows has its name in a comment above it: ``<!-- NAME -->``.
"""

from __future__ import annotations

import re

from support.repository import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(
    r"(?:^<!-- (?P<name>[^\n]+) -->\n\n?)?^```(?P<kind>\w*)\n(?P<text>.*?)\n```$", re.MULTILINE | re.DOTALL
)


def blocks() -> list[tuple[str, str, str]]:
    """Name (empty: no test knows it), kind and text of every fenced block, in order."""
    found = BLOCK.finditer(README.read_text())
    return [(each["name"] or "", each["kind"], each["text"]) for each in found]


def block(name: str) -> str:
    """The text of the one block of that name."""
    (text,) = (text for found, _, text in blocks() if found == name)
    return text
