"""Why a model can't be served, and what TensorFlow's own errors say in one line."""

from __future__ import annotations

import re

_NUMBERED = re.compile(r"^\d+ root error\(s\) found\.\s+\(0\) (?:[A-Z_]+: )?")
_NODE = re.compile(r"\s*\[\[.*?\]\]")


class ModelUnusable(Exception):
    """The model can't be served; the message is one line and says why."""


def short(error: BaseException) -> str:
    """The first line of what TensorFlow says, without the nodes of the graph that it adds."""
    text = str(getattr(error, "message", "") or error).strip()
    text = _NODE.sub("", _NUMBERED.sub("", text))
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first or type(error).__name__
