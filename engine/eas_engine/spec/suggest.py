"""The known name nearest to an unknown one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from eas_engine.spec.parameters import Catalogue

_LONGEST: Final = 100


def nearest(catalogue: Catalogue, path: str) -> str:
    """``, did you mean max_queue_size?`` or nothing: the last key where the place is right, else the path."""
    if len(path) > _LONGEST:
        return ""
    key = path.removeprefix(catalogue.prefix)
    close = get_close_matches(key, catalogue.by_key, n=1, cutoff=0.75)
    if not close:
        last = {known.rpartition(".")[2]: known for known in catalogue.by_key}
        close = [last[one] for one in get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.8)]
    if not close:
        return ""
    same_place = close[0].rpartition(".")[0] == key.rpartition(".")[0]
    known = catalogue.by_key[close[0]].path
    return f", did you mean {close[0].rpartition('.')[2] if same_place else known}?"
