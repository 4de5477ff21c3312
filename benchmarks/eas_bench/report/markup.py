"""HTML that can't be forgotten to escape: text is escaped unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

from eas_bench import units

_EMPTY: Final = ("meta", "br")


class Markup(str):
    """HTML, as opposed to text."""

    __slots__ = ()


def element(name: str, /, *content: str, **attributes: str | None) -> Markup:
    """``<name>content</name>``; an attribute that is None is left out.

    ``class_="wide"`` is ``class="wide"``; ``aria_label`` is ``aria-label``.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{together(content)}</{name}>")


def together(content: Iterable[str]) -> Markup:
    """One after another; what isn't markup is text."""
    return Markup(
        "".join(one if isinstance(one, Markup) else html.escape(units.plain(one)) for one in content)
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]], caption: str) -> Markup:
    """The first column says of what."""
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *(element("th", one, scope="col") for one in head))),
        element("tbody", *(_row(list(row)) for row in rows)),
    )


def _row(cells: list[str]) -> Markup:
    return element("tr", element("th", cells[0], scope="row"), *(element("td", one) for one in cells[1:]))
