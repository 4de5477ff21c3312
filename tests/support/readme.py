"""Blocks of the README and of other pages, so that what they show can be held against what is.

A block that a test knows has its name in a comment above it: ``<!-- NAME -->``.
"""

from __future__ import annotations

import re
from pathlib import Path

from support.repository import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(
    r"(?:^<!-- (?P<name>[^\n]+) -->\n\n?)?^```(?P<kind>\w*)\n(?P<text>.*?)\n```$", re.MULTILINE | re.DOTALL
)


def blocks(page: Path = README) -> list[tuple[str, str, str]]:
    """Name (empty: no test knows it), kind and text of every fenced block, in order."""
    found = BLOCK.finditer(page.read_text())
    return [(each["name"] or "", each["kind"], each["text"]) for each in found]


def block(name: str, page: Path = README) -> str:
    """The text of the one block of that name."""
    (text,) = (text for found, _, text in blocks(page) if found == name)
    return text
