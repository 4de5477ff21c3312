"""Refusals that don't depend on load: made of the head, and of where it comes from, before the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eas_engine.errors import (
    BadRequest,
    BodyTooLarge,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Refusal,
    Unauthorized,
)
from eas_engine.gateway.auth import Verifier

if TYPE_CHECKING:
    from eas_engine.gateway.front import Rules
    from eas_engine.gateway.head import Head

_METHODS: Final = frozenset({b"POST", b"GET", b"HEAD"})


class Screen:
    """What one set of rules refuses. ``max_body``: the most bytes that a body may have."""

    def __init__(self, rules: Rules, max_body: int) -> None:
        self._any_path = rules.any_path
        self._path = rules.path
        self._below = rules.path + b"/"
        self._verifier = Verifier(rules.token, b"" if rules.any_path else rules.path)
        self._max_body = max_body

    def __repr__(self) -> str:
        return f"<Screen of {self._path!r} {self._verifier!r}>"

    def refusal(self, head: Head, *, foreign: bool) -> Refusal | None:
        """In the order of the design: 404 405 403 401 413. ``foreign``: the sender may not call at all."""
        path = head.path
        if not (path == self._path or path.startswith(self._below) or self._any_path):
            return NotFound()
        if head.method not in _METHODS:
            return MethodNotAllowed()
        if foreign:
            return Forbidden()
        if not self._verifier.allows(head):
            return Unauthorized()
        if head.length > self._max_body:
            return BodyTooLarge()
        if head.length and head.method != b"POST":
            return BadRequest("only a POST may have a body")
        return None
