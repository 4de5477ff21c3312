"""What the engine imports stays until it ends, so nobody needs to look for garbage in it, now or later."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """No collection of garbage within; what was made then is never looked at again.

    A start makes 200,000 objects that live as long as the process. The collector walked them all several
    times, for a tenth of the CPU time of a start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
