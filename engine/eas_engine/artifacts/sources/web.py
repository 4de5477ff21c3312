"""Files over HTTP(S): the conditions of a request, and what an answer to them means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

from eas_engine.artifacts.sources.checks import Version, expected_of, version_of
from eas_engine.artifacts.sources.http import Answer, Authorise, Session, refusal, split, userinfo
from eas_engine.artifacts.sources.retry import TransferError
from eas_engine.artifacts.sources.source import Opened, Outcome
from eas_engine.secrecy import redacted
from eas_engine.telemetry.logs import printable

_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_MARKUP: Final = re.compile(r"<[^>]*>")
_SAID: Final = 200  # characters of an error's body that are shown


class WebFile:
    """One file at an ``http(s)`` address.

    ``authorise`` gives the header fields of a signed request; ``say`` reads an error's body. ``ranges``: what
    guards a range, ``If-Range`` as HTTP has it, or ``If-Match``, which OSS knows instead.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        url: str,
        *,
        label: str = "",
        authorise: Authorise | None = None,
        say: Callable[[str], str] | None = None,
        ranges: Literal["If-Range", "If-Match"] = "If-Range",
    ) -> None:
        parts = split(url)
        own = userinfo(parts)
        self.label = label or redacted(url)
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._session = session
        self._authorise = authorise or ((lambda: own) if own else None)
        self._say = say or _first_line
        self._guard = ranges

    def open(self, offset: int = 0, *, same: Version | None = None, unless: Version | None = None) -> Opened:
        """See ``source.RemoteFile``."""
        headers = self._conditions(offset, same, unless)
        answer = self._session().get(self._url, headers, self._authorise)
        try:
            return self._understood(answer, offset, same, unless)
        except BaseException:
            answer.close()
            raise

    def _conditions(self, offset: int, same: Version | None, unless: Version | None) -> dict[str, str]:
        headers: dict[str, str] = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if same is not None and same.strong and (same.etag or self._guard == "If-Range"):
                headers[self._guard] = same.strong
        if unless is not None and unless.etag:
            headers["If-None-Match"] = unless.etag
        elif unless is not None and unless.modified:
            headers["If-Modified-Since"] = unless.modified
        return headers

    def _understood(
        self, answer: Answer, offset: int, same: Version | None, unless: Version | None
    ) -> Opened:
        status, version = answer.status, version_of(answer.headers)
        if status == 304 and unless is not None:
            answer.text()
            return _without_bytes(answer, Outcome.UNCHANGED, version)
        if status in (412, 416) and offset:
            answer.text()
            return _without_bytes(answer, Outcome.CHANGED, version)
        if status == 200:
            expected = expected_of(answer.headers, whole=True)
            return Opened(Outcome.WHOLE, answer.read, answer.close, version, answer.length, expected)
        if status == 206 and offset:
            total = _rest_of(answer.headers, offset)
            if total is None or (same is not None and same.differs(version)):
                return _without_bytes(answer, Outcome.CHANGED, version)
            expected = expected_of(answer.headers, whole=False)
            return Opened(Outcome.REST, answer.read, answer.close, version, total, expected)
        error = refusal(answer, self.label, self._said(answer))
        if status < 400:
            raise TransferError(f"{error}: no file", again=False, answered=True, status=status)
        raise error

    def _said(self, answer: Answer) -> str:
        """What the server says about it, without what it may repeat of the request."""
        said = self._say(answer.text())
        query = split(self._url).query
        for secret in (self._url, query, *(part.partition("=")[2] for part in query.split("&"))):
            if len(secret) > 3:
                said = said.replace(secret, "...")
        return printable(said)[:_SAID]


def _rest_of(headers: Mapping[str, str], offset: int) -> int | None:
    """The total of an answer that brings everything from ``offset`` on; None: it brings something else."""
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None or match.group(3) == "*":
        return None
    first, last, total = (int(number) for number in match.groups())
    return total if first == offset and last == total - 1 else None


def _without_bytes(answer: Answer, outcome: Outcome, version: Version) -> Opened:
    answer.close()
    return Opened(outcome, lambda _: b"", lambda: None, version)


def _first_line(body: str) -> str:
    text = _MARKUP.sub(" ", body)
    return next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "")
