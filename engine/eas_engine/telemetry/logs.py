"""The engine's log: structlog in, one line of text or JSON out, on stderr.

``Logs`` makes a logger that is configured by itself (nothing global, so several engines fit in one process)
and carries the service's name and labels in each JSON line. What processors print goes past structlog on a
short way of its own (``output``), because a processor may print a great deal: about 3 us a line instead of
15.

Control characters in whatever was logged are escaped: a request id or a processor can't forge a line, nor
clear somebody's screen. Secrets named to ``hide`` are replaced in every line, whoever wrote it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from eas_engine.clock import Clock
from eas_engine.options import LogFormat
from eas_engine.telemetry.lines import LineWriter

if TYPE_CHECKING:
    import structlog
    from structlog.typing import EventDict, FilteringBoundLogger, Processor
else:
    # structlog.dev imports rich for tracebacks that we don't print: 110 ms of the start, 6 MB. Without rich
    # it takes its plain formatter.
    _ABSENT = "rich" not in sys.modules
    if _ABSENT:
        sys.modules["rich"] = None
    try:
        import structlog
    finally:
        if _ABSENT:
            del sys.modules["rich"]

LINE_LIMIT = 16 << 10  # characters of one processor line
HIDDEN = "[hidden]"
_SECRET_MINIMUM = 6  # characters; replacing a shorter one would garble every line
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_COLOURED = re.compile(r"\x1b\[[0-9;]*m")
_PLAIN = re.compile(r"[^\s\"'=]+")
_RESERVED = frozenset(
    {"time", "level", "event", "service", "workspace_id", "instance", "stream", "exception", "logger"}
)
_DIM, _BOLD, _RED, _GREEN, _YELLOW, _RESET = (f"\x1b[{code}m" for code in (2, 1, 31, 32, 33, 0))
_COLOURS = MappingProxyType(
    {"debug": _DIM, "info": _GREEN, "warning": _YELLOW, "error": _RED, "critical": _RED + _BOLD}
)


class Logs:
    """One engine's log: ``log`` is the logger, ``output`` takes what processors print."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        clock: Clock,
        *,
        log_format: LogFormat = "console",
        colours: bool = False,
        debug: bool = False,
    ) -> None:
        self._write = write
        self.clock = clock
        self._json = log_format == "json"
        self._colours = colours and not self._json
        self._secrets: tuple[str, ...] = ()
        self._fields: dict[str, object] = {}
        self._second = -1
        self._second_text = ""
        self._level = logging.DEBUG if debug else logging.INFO
        self.log: FilteringBoundLogger = structlog.wrap_logger(
            None,
            processors=self._processors(),
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind()

    def describe(
        self, service: str, workspace_id: str = "", labels: Mapping[str, object] | None = None
    ) -> None:
        """From now on each JSON line says whose it is. A label named like a field of ours gets ``label_``."""
        fields: dict[str, object] = {"service": service}
        if workspace_id:
            fields["workspace_id"] = workspace_id
        for name, value in (labels or {}).items():
            fields[f"label_{name}" if name in _RESERVED else name] = str(value)
        self._fields = fields

    def hide(self, secret: str | None) -> None:
        """Never let this text through, in either spelling (as it is, or escaped as in JSON)."""
        if secret and len(secret) >= _SECRET_MINIMUM:
            escaped = json.dumps(secret)[1:-1]
            self._secrets = (*self._secrets, *dict.fromkeys([secret, escaped]))

    def output(self, instance: str, lines: Iterable[str], stream: str = "stdout") -> None:
        """Lines that a processor of ``instance`` printed."""
        time = self._time()
        if self._json:
            fields = {"time": time, "level": "info", **self._fields, "instance": instance, "stream": stream}
            head, tail = json.dumps(fields)[:-1] + ', "event": ', "}"
            shown: Callable[[str], str] = json.dumps
        else:
            head, tail, shown = f"{self._paint(time, _DIM)} {self._paint(instance, _BOLD)} | ", "", printable
        for line in lines:
            text = line if len(line) <= LINE_LIMIT else f"{line[:LINE_LIMIT]}... ({len(line)} characters)"
            self._emit(head + shown(text) + tail)

    @contextmanager
    def capture_stdlib(self) -> Iterator[None]:
        """What libraries say by ``logging`` (asyncio, uvicorn) comes here too, from ``WARNING`` up."""
        root, bridge = logging.getLogger(), _Bridge(self)
        root.addHandler(bridge)
        try:
            yield
        finally:
            root.removeHandler(bridge)

    def _processors(self) -> list[Processor]:
        return [
            structlog.stdlib.add_log_level,
            structlog.processors.ExceptionRenderer(_traceback),
            self._render_json if self._json else self._render_console,
            self._drop,
        ]

    def _render_json(self, _logger: object, _method: str, event: EventDict) -> str:
        line = {"time": self._time(), "level": event.pop("level"), **self._fields, **event}
        return json.dumps(line, default=str)

    def _render_console(self, _logger: object, _method: str, event: EventDict) -> str:
        level, text = str(event.pop("level")), printable(str(event.pop("event", "")))
        exception = event.pop("exception", None)
        parts = [self._paint(self._time(), _DIM), self._paint(f"{level:<7}", _COLOURS.get(level, "")), text]
        parts += [f"{self._paint(key + '=', _DIM)}{_value(value)}" for key, value in event.items()]
        if exception:
            parts.append("\n" + "\n".join("    " + printable(line) for line in str(exception).splitlines()))
        return " ".join(parts)

    def _drop(self, _logger: object, _method: str, line: Any) -> Any:
        self._emit(line)
        raise structlog.DropEvent

    def _emit(self, line: str) -> None:
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, HIDDEN)
        self._write(line.encode("utf-8", "backslashreplace") + b"\n")

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours else text

    def _time(self) -> str:
        """Milliseconds; UTC in JSON (RFC 3339), the machine's own time zone on a console."""
        wall = self.clock.wall()
        second = int(wall)
        if second != self._second:
            moment = datetime.fromtimestamp(second, UTC)
            shown = moment if self._json else moment.astimezone()
            self._second_text = shown.strftime("%Y-%m-%dT%H:%M:%S" if self._json else "%Y-%m-%d %H:%M:%S")
            self._second = second
        return f"{self._second_text}.{int((wall - second) * 1000):03d}{'Z' if self._json else ''}"


class StderrLogs:
    """``Logs`` on stderr by a ``LineWriter``: what ``serve`` uses. The end of the context writes the rest."""

    def __init__(
        self, clock: Clock, log_format: LogFormat, *, debug: bool = False, stream: TextIO | None = None
    ) -> None:
        stream = stream or sys.stderr
        self._writer = LineWriter(stream.fileno())
        self.logs = Logs(
            self._writer.put, clock, log_format=log_format, colours=wants_colours(stream), debug=debug
        )

    def __enter__(self) -> Logs:
        self._writer.start()
        return self.logs

    def __exit__(self, *_: object) -> None:
        self._writer.close(2.0)  # seconds; a pipe that nobody reads mustn't keep the engine from ending


def wants_colours(stream: TextIO) -> bool:
    """Only on a terminal, and not against the user's will (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def wants_bars(stream: TextIO) -> bool:
    """Whether a line that is written over again shows as one."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """``text`` without colour codes and with control characters spelled out; tabs stay."""
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub(_spell, _COLOURED.sub("", text))


def _spell(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()


def _value(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    return printable(json.dumps(text, ensure_ascii=False))


def _traceback(exc_info: Any) -> str:
    return "".join(traceback.format_exception(*exc_info)).rstrip()


class _Bridge(logging.Handler):
    """Records of ``logging`` as lines of ours."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        extra: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        level = min(max(logging.WARNING, record.levelno // 10 * 10), logging.CRITICAL)
        self._logs.log.log(level, record.getMessage(), logger=record.name, **extra)
