"""The words of ``serve`` where they are plain, as ``typer`` reads them but without it.

Importing typer and asking it takes a tenth of the time until the first answer, and 2 MB for as long as the
engine lives. Whatever isn't plain is left to it: a mistake, ``--help``, engine settings, a variable of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from eas_engine.options import ServeOptions, settings_file
from eas_engine.state import default_root


class NotPlainError(Exception):
    """For typer to read."""


def _text(word: str) -> str:
    if not word or word.startswith("-"):
        raise NotPlainError
    return word


def _path(word: str) -> Path:
    return Path(_text(word))


def _directory(word: str) -> Path:
    if (path := _path(word)).is_file():
        raise NotPlainError
    return path


def _port(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) <= 5 and int(word) <= 65535):
        raise NotPlainError
    return int(word)


def _format(word: str) -> str:
    if word not in ("console", "json"):
        raise NotPlainError
    return word


VALUES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = MappingProxyType(
    {
        "--config": ("config", _path),
        "--host": ("host", _text),
        "--port": ("port", _port),
        "--admin-host": ("admin_host", _text),
        "--admin-port": ("admin_port", _port),
        "--state-dir": ("state_dir", _directory),
        "--cache-size": ("cache_size", _text),
        "--log-format": ("log_format", _format),
        "--access-log": ("access_log", _text),
    }
)
SWITCHES: Final[Mapping[str, tuple[str, bool]]] = MappingProxyType(
    {
        "--fresh": ("fresh", True),
        "--strict": ("strict", True),
        "--debug": ("debug", True),
        "--any-path": ("any_path", True),
        "--announce": ("announce", True),
        "--no-announce": ("announce", False),
    }
)


def plain(words: Sequence[str], environ: Mapping[str, str]) -> ServeOptions | None:
    """What ``eas-engine WORDS`` asks for; None: it isn't plain, or isn't ``serve``."""
    if any(name.startswith(("EAS_", "_EAS_")) for name in environ):
        return None
    try:
        options = ServeOptions(**_read(list(words)))
    except NotPlainError:
        return None
    root = (options.state_dir or default_root()).absolute()
    return options if settings_file(None, root) is None else None


def _read(words: list[str]) -> dict[str, Any]:
    """The options by the names of their fields. Errors: NotPlainError."""
    if words[:1] == ["serve"]:
        del words[0]
    elif not words or not (words[0].startswith("-") or words[0].endswith(".json")):
        raise NotPlainError
    found: dict[str, Any] = {}
    overrides: list[str] = []
    while words:
        word, joined, value = words.pop(0).partition("=")
        if word in SWITCHES and not joined:
            name, content = SWITCHES[word]
        else:
            if not word.startswith("-"):
                word, value = "--config", word + joined + value
            elif joined and not word.startswith("--"):
                raise NotPlainError
            elif not joined and words:
                value = words.pop(0)
            if word in ("-D", "--define"):
                overrides.append(_text(value))
                continue
            if word not in VALUES:
                raise NotPlainError
            name, read = VALUES[word]
            content = read(value)
        if name in found:
            raise NotPlainError
        found[name] = content
    if "config" not in found:
        raise NotPlainError
    return {**found, "overrides": tuple(overrides)}
