"""Answers of the admin API: JSON that is always JSON, and refusals with a reason."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response


class Answer(Response):
    """A value as JSON. Whatever it holds, clients can parse it: no NaN, and nothing raises."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """See ``starlette``. Halves of surrogate pairs (from undecodable names) become JSON's own escapes."""
        text = json.dumps(plain(content), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


class ApiError(Exception):
    """An answer that isn't what was asked for: ``{"error": text, "problems": [...]}``."""

    def __init__(
        self,
        status: int,
        text: str,
        *,
        problems: Sequence[Mapping[str, object]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.problems = tuple(problems)
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """As it is sent."""
        return Answer({"error": self.text, "problems": self.problems}, self.status, headers=self.headers)


def needs_token() -> ApiError:
    """401."""
    text = "needs Authorization: Bearer <text of admin-token in the state directory>"
    return ApiError(401, text, headers={"WWW-Authenticate": "Bearer"})


async def answered(_request: Request, error: Exception) -> Response:
    """For ``starlette``: an ``ApiError`` becomes its answer."""
    assert isinstance(error, ApiError)  # noqa: S101 - it is registered for nothing else
    return error.answer()


def plain(value: object) -> Any:
    """Any value as JSON has them: what JSON doesn't know becomes text, infinity and NaN become null."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
