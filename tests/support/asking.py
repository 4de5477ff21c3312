"""Requests to a data plane without a network (``parts``), one at a time."""

from __future__ import annotations

from eas_engine.request import Ticket
from support.parts import Asker, Parts


def ask(parts: Parts, body: bytes = b"") -> tuple[Asker, Ticket]:
    asker, ticket = parts.ask(body)
    assert isinstance(ticket, Ticket)
    return asker, ticket


def learn_that_it_is_fast(parts: Parts) -> None:
    """Short answers, until the link gives work ahead."""
    host = parts.hosts[0]
    for _ in range(60):
        asker, _ = ask(parts)
        parts.loop.turn()
        (call,) = host.read()
        assert host.begin(call)
        host.answer(call, us=5)
        parts.loop.turn()
        assert asker.code == 200
    assert host.link.limit > host.link.credit.threads
