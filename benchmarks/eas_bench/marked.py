"""Pages of the documentation that have figures between two lines of their own."""

from __future__ import annotations


def between(page: str, begin: str, end: str, text: str) -> str:
    """The page with ``text`` between those two lines of it. Errors: ValueError: it hasn't got them."""
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no lines {begin!r} and {end!r}")
    return f"{before}{begin}\n{text}\n{end}{after}"
