"""Batches between line and hosts: how tests ask for them, and see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eas_engine.batching.cut import Rules
from eas_engine.request import Ticket
from eas_engine.workers.batch_link import BatchLink
from support.parts import Asker, Parts
from support.wire_host import WireHost

EAGER = Rules(4, 0.05, when_idle=True)
PATIENT = replace(EAGER, when_idle=False)

Making = Callable[..., Parts]


def ask(parts: Parts, count: int = 1, body: bytes = b"") -> list[tuple[Asker, Ticket]]:
    """So many requests that come in one turn of the loop; it isn't over yet."""
    asked = []
    for _ in range(count):
        asker, ticket = parts.ask(body)
        assert isinstance(ticket, Ticket)
        asked.append((asker, ticket))
    return asked


def units(host: WireHost) -> list[int]:
    """The sizes of the units in the host, in the order in which they came."""
    host.read()
    return [len(unit.calls) for unit in host.units]


def reasons(parts: Parts) -> dict[str, int]:
    return dict(parts.counters.batches)


def link_of(host: WireHost) -> BatchLink:
    assert isinstance(host.link, BatchLink)
    return host.link


def make_short(parts: Parts) -> None:
    """A batch that takes little time, so that hosts take a full one ahead."""
    ask(parts)
    parts.serve_all()
