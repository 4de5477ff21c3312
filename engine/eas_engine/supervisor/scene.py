"""What is kept of a crash for whoever looks into it (``runtime.enable_crash_block``).

``<state directory>/crashes/<id>/`` (0700) holds

* ``crash.json``: what happened, when, to whom; versions; the environment without its secrets; where the
  working directory is, which is left as it was; what lies here, and why there is no core file if there is
  none.
* ``log.txt``: the last lines that the host printed. ``stacks.txt``: of its threads, if it was stuck.
* ``core``, if it could be moved here, and ``hs_err.log`` of a Java virtual machine.
* ``in-flight/<n>.head`` and ``<n>.body``: the requests that it had, the begun ones first, without the values
  of header fields that look like credentials; bodies up to ``BODIES_LIMIT`` bytes altogether.

A scene is made beside its place and renamed: one that has a ``crash.json`` is whole. Everything here does
I/O; on the loop only ``Scenes.name`` may be called.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eas_engine import private_files
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass
from eas_engine.request import Held
from eas_engine.supervisor import core
from eas_engine.supervisor.causes import Cause, Evidence
from eas_engine.telemetry.status import MASK, without_secrets

BODIES_LIMIT = 64 << 20
"""Bytes of all bodies of one scene."""

MOST = 20
"""Scenes that are kept for a service, beside those of instances that are blocked now."""

_HS_ERR_LIMIT = 64 << 20
_RECORD_LIMIT = 16 << 20
_CREDENTIAL = re.compile(
    rb"authori[sz]ation|cookie|token|secret|passw|credential|signature|-key$", re.IGNORECASE
)
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """All that is known of a crash at the moment of it."""

    name: str
    service: str
    instance: str
    host: str
    state: str
    cause: Cause
    evidence: Evidence
    pid: int
    started_at: float
    """Since the epoch, as ``died_at``."""
    died_at: float
    python: str
    program: tuple[str, ...]
    processor: Mapping[str, object]
    directory: str
    environment: Mapping[str, str]
    traceback: str = ""
    stacks: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """One that was kept."""

    path: Path
    record: Mapping[str, Any]
    """``crash.json``."""

    @property
    def name(self) -> str:
        """Its id."""
        return self.path.name

    @property
    def size(self) -> int:
        """Bytes on the disk, about."""
        total = 0
        for directory, _, files in os.walk(self.path):
            for file in files:
                with contextlib.suppress(OSError):
                    total += (Path(directory) / file).lstat().st_blocks * 512
        return total


class Scenes:
    """The scenes of one service.

    Args:
        root: ``crashes`` in the service's state directory; made when it is needed.
        version: of the engine.
    """

    def __init__(self, root: Path, version: str) -> None:
        self.root = root
        self._version = version
        self._one_at_a_time = threading.Lock()

    def __repr__(self) -> str:
        return f"<Scenes {self.root}>"

    def name(self, host: str, pid: int, at: float) -> str:
        """The id of a new one: sorts by time."""
        return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}-{host}-{pid}"

    def keep(self, remains: Remains, spared: Collection[str] = ()) -> Path:
        """Write one; the oldest that are too many go, but for the ``spared`` ones.

        Raises ``OSError`` or ``ConfigurationError`` when it can't be written; nothing is left behind then.
        """
        with self._one_at_a_time:
            private_files.make_directory(self.root)
            self._clear_away({*spared, remains.name})
            place = self.root / remains.name
            aside = self.root / f".{remains.name}.new"
            try:
                aside.mkdir(mode=0o700)
                self._write(remains, aside)
                aside.rename(place)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            return place

    def clear(self, name: str | None = None) -> list[str]:
        """Delete one, or all; which there were."""
        names = [one.name for one in scenes(self.root)] if name is None else [name]
        with self._one_at_a_time:
            return [each for each in names if remove(self.root, each)]

    def _clear_away(self, spared: Collection[str]) -> None:
        for left in self.root.glob(".*.new"):
            shutil.rmtree(left, ignore_errors=True)
        others = [one.name for one in scenes(self.root) if one.name not in spared]
        for name in others[: max(0, len(others) - MOST + 1)]:
            remove(self.root, name)

    def _write(self, remains: Remains, place: Path) -> None:
        evidence = remains.evidence
        _write_lines(place / "log.txt", evidence.lines)
        if remains.stacks:
            _write_lines(place / "stacks.txt", remains.stacks)
        hs_err = _copy_hs_err(evidence.hs_err, place)
        held = sorted(remains.held, key=lambda one: not one.begun)
        requests = [_write_request(number, one, place) for number, one in enumerate(held, 1)]
        directory = Path(remains.directory)
        file, why = core.find(evidence.status, remains.pid, directory, remains.started_at)
        core_path = _move_core(file, place) if file is not None else None
        record = {
            "id": remains.name,
            "service": remains.service,
            "instance": remains.instance,
            "host": remains.host,
            "time": datetime.fromtimestamp(remains.died_at, UTC).isoformat(timespec="milliseconds"),
            "cause": asdict(remains.cause),
            "error": remains.cause.refusal().code,
            "status": evidence.status,
            "state": remains.state,
            "pid": remains.pid,
            "lived_seconds": round(remains.died_at - remains.started_at, 3),
            "traceback": remains.traceback,
            "working_directory": remains.directory,
            "program": list(remains.program),
            "processor": without_secrets(remains.processor),
            "environment": without_secrets(dict(sorted(remains.environment.items()))),
            "versions": {
                "engine": self._version,
                "engine_python": platform.python_version(),
                "python": remains.python,
                "kernel": platform.release(),
                "machine": platform.machine(),
            },
            "core": {"path": core_path, "why_none": why},
            "hs_err": hs_err,
            "stacks": "stacks.txt" if remains.stacks else None,
            "log": "log.txt",
            "in_flight": requests,
        }
        text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
        private_files.write(place / "crash.json", text.encode("utf-8", "backslashreplace") + b"\n", 0o600)


def scenes(root: Path) -> list[Scene]:
    """All that are whole, oldest first."""
    try:
        names = sorted(entry.name for entry in root.iterdir() if _ID.fullmatch(entry.name))
    except OSError:
        return []
    found = []
    for name in names:
        with contextlib.suppress(OSError, ValueError, ConfigurationError):
            record = json.loads(private_files.read_text(root / name / "crash.json", _RECORD_LIMIT))
            if isinstance(record, dict):
                found.append(Scene(root / name, record))
    return found


def remove(root: Path, name: str) -> bool:
    """Delete a scene; was there such a one? The record goes first: a half-deleted one counts as none."""
    if not _ID.fullmatch(name) or not (root / name / "crash.json").is_file():
        return False
    with contextlib.suppress(FileNotFoundError):
        (root / name / "crash.json").unlink()
    shutil.rmtree(root / name, ignore_errors=True)
    return True


def without_credentials(head: bytes) -> bytes:
    """A request's head; the values of fields whose names look like credentials are masked."""
    start, *fields = head.split(b"\r\n")
    kept = [start]
    for line in fields:
        name, colon, _ = line.partition(b":")
        kept.append(name + b": " + MASK.encode() if colon and _CREDENTIAL.search(name.strip()) else line)
    return b"\r\n".join(kept)


def _write_request(number: int, held: Held, place: Path) -> dict[str, object]:
    directory = place / "in-flight"
    directory.mkdir(mode=0o700, exist_ok=True)
    name = f"{number:04d}"
    private_files.write(directory / f"{name}.head", without_credentials(held.head), 0o600)
    private_files.write(directory / f"{name}.body", held.body, 0o600)
    return {
        "head": f"in-flight/{name}.head",
        "body": f"in-flight/{name}.body",
        "size": held.size,
        "kept": len(held.body),
        "begun": held.begun,
        "age_seconds": round(held.age, 3),
    }


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    private_files.write(
        path, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"), 0o600
    )


def _copy_hs_err(file: str, place: Path) -> str | None:
    """The path of the copy in the scene, or of the original when it can't be copied."""
    if not file:
        return None
    try:
        with Path(file).open("rb") as stream:
            private_files.write(place / "hs_err.log", stream.read(_HS_ERR_LIMIT), 0o600)
    except (OSError, ConfigurationError):
        return file
    return "hs_err.log"


def _move_core(file: Path, place: Path) -> str:
    """``core`` in the scene; on another file system it stays where it is: it may be larger than this one."""
    try:
        file.rename(place / "core")
    except OSError:
        return str(file)
    return "core"
