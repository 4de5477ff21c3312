"""A file and flags -> the effective specification, or every complaint at once.

Order: bytes -> text -> tree with lines -> canonical object with origins (``reading``) -> types and ranges
(pydantic) -> machine type -> rules between parameters. Nothing here touches the network or starts anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final

from eas_engine.records import dataclass
from eas_engine.spec import rules, sizing
from eas_engine.spec.locate import Duplicate, Node, NotJson, parse
from eas_engine.spec.machine import Machine, this_machine
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.parameters import service_parameters, settable
from eas_engine.spec.problems import DEFAULT, ConfigurationError, Origin, Problem, in_order, shown
from eas_engine.spec.reading import Entry, Reading, file_entries, read
from eas_engine.spec.validation import validate

LARGEST_FILE: Final = 2**20
MOST_DUPLICATES: Final = 100
QUOTE: Final = '"'


@dataclass(frozen=True, slots=True)
class Loaded:
    """The effective specification and how it came about.

    ``origins`` has every parameter, and the objects in the file around them, by its canonical path
    (``metadata.rpc.keepalive``, ``containers[0].port``); ``emptied`` the lines of parameters that are in the
    file but not set; ``duplicates`` keys that stood twice.
    """

    spec: ServiceSpec
    origins: Mapping[str, Origin]
    warnings: tuple[Problem, ...]
    source: Path
    machine: Machine
    emptied: Mapping[str, int] = field(default_factory=dict)
    duplicates: tuple[Duplicate, ...] = ()

    @property
    def base(self) -> Path:
        """The directory that relative paths of the file are relative to."""
        return self.source.absolute().parent


def load(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    strict: bool = False,
    machine: Machine | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read ``path`` and the ``-D`` flags; see ``load_text``."""
    return load_text(
        read_text(path), path, overrides=overrides, strict=strict, machine=machine, environ=environ
    )


def load_text(
    text: str,
    path: Path,
    *,
    overrides: Sequence[str] = (),
    strict: bool = False,
    machine: Machine | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read the text of ``path``, whatever lies there now, and the ``-D`` flags.

    Raises ``ConfigurationError`` with all problems; with ``strict`` warnings are problems, too (but for keys
    that are known to have no effect here).
    """
    environ = os.environ if environ is None else environ
    node, duplicates = _parse(text, path)
    reading = Reading()
    reading.warn_of_duplicates(duplicates[:MOST_DUPLICATES])
    entries = file_entries(node) + [_flag(text, path) for text in overrides]
    canonical = read(entries, service_parameters(), reading)
    machine = machine or this_machine(environ)
    spec = _effective(canonical, reading, machine, environ)
    warnings = _sift(reading, path, strict=strict)
    if spec is None:  # then there was an error, and _sift raised
        raise ConfigurationError(path, reading.problems)
    return Loaded(
        spec,
        _all_origins(reading, spec),
        warnings,
        path,
        machine,
        dict(reading.emptied),
        duplicates[:MOST_DUPLICATES],
    )


def read_text(path: Path, too_large: str = "this is no service.json") -> str:
    """The file's text. Errors: ConfigurationError for what isn't a readable UTF-8 file of sane size."""
    try:
        data = _data(path)
    except FileNotFoundError:
        raise ConfigurationError(path, [Problem("", None, "there is no such file")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(path, [Problem("", None, f"can't be read: {reason}")]) from None
    if len(data) > LARGEST_FILE:
        raise ConfigurationError(path, [Problem("", None, f"larger than 1 MiB: {too_large}")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8 (byte 0x{data[error.start]:02x}): save the file as UTF-8"
        raise ConfigurationError(path, [Problem("", line, message)]) from None


def _data(path: Path) -> bytes:
    """Of a file or, as ``<(...)`` of a shell makes one, a pipe; one that nobody writes to would never end."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb", buffering=0) as file:
        begun = b""
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            found = file.read(LARGEST_FILE + 1)  # None: nothing yet, but somebody is there
            if found == b"":
                raise ConfigurationError(path, [Problem("", None, "is a pipe that nobody writes to")])
            begun = found or b""
        os.set_blocking(file.fileno(), True)
        data = [begun]
        while (size := sum(map(len, data))) <= LARGEST_FILE and (more := file.read(LARGEST_FILE + 1 - size)):
            data.append(more)
        return b"".join(data)


def _parse(text: str, path: Path) -> tuple[Node, tuple[Duplicate, ...]]:
    try:
        node, duplicates = parse(text)
    except NotJson as error:
        message = f"column {error.column}: not JSON: {error}"
        raise ConfigurationError(path, [Problem("", error.line, message)]) from None
    if not isinstance(node.value, dict):
        raise ConfigurationError(path, [Problem("", node.line, "expected an object: { ... }")])
    return node, duplicates


def _flag(text: str, source: Path) -> Entry:
    """``key=value``; the value is JSON where it can be read as JSON, else text."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ConfigurationError(source, [Problem("-D", None, f"{text!a}: not UTF-8")])
    if not equals or not key:
        raise ConfigurationError(source, [Problem(f"-D {text}", None, "expected key=value")])
    try:
        node, _ = parse(value)
    except NotJson:
        node = Node(value, 0)
    told = shown(node.plain(), key)
    return Entry(key, node, Origin("flag", detail=f"-D {key}={told.strip(QUOTE)}"))


def _effective(
    canonical: dict[str, Any], reading: Reading, machine: Machine, environ: Mapping[str, str]
) -> ServiceSpec | None:
    """Fill in what doesn't come from the file, validate, apply the rules; complaints go to ``reading``."""
    if "oss_endpoint" not in reading.origins and environ.get("OSS_ENDPOINT"):
        canonical["oss_endpoint"] = environ["OSS_ENDPOINT"]
        reading.origins["oss_endpoint"] = Origin("environment", detail="OSS_ENDPOINT")
    inflight = "metadata.rpc.max_inflight_bytes"
    if inflight not in reading.origins and isinstance(rpc := _below(canonical, "metadata", "rpc"), dict):
        rpc["max_inflight_bytes"] = max(machine.memory_bytes // 4, 1)
        reading.origins[inflight] = Origin("default", detail="a quarter of the RAM")
    checked = validate(canonical, reading.origins)
    reading.problems.extend(checked.problems)
    spec = checked.spec
    if spec is not None:
        spec, sized = sizing.apply(spec, reading.origins, machine)
        reading.origins.update(sized.origins)
        reading.problems.extend(sized.problems)
        reading.problems.extend(rules.problems(spec, reading.origins, checked.unread))
    return spec


def _below(target: dict[str, Any], *parts: str) -> Any:
    inner: Any = target
    for part in parts:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return None
    return inner


def _sift(reading: Reading, path: Path, *, strict: bool) -> tuple[Problem, ...]:
    """Raise when there is an error; else the warnings."""
    found = in_order(reading.problems)
    if strict:
        found = [replace(one, severity="error") if one.strict else one for one in found]
    wrong = [one for one in found if one.severity == "error"]
    if wrong:
        raise ConfigurationError(path, wrong, [one for one in found if one.severity == "warning"])
    return tuple(found)


def _all_origins(reading: Reading, spec: ServiceSpec) -> dict[str, Origin]:
    """The origins that were read, and ``default`` for every other parameter of the file."""
    origins = {one.path: DEFAULT for one in settable() if "[]" not in one.path}
    if spec.autoscaler is None:
        origins = {path: origin for path, origin in origins.items() if not path.startswith("autoscaler.")}
    return origins | reading.origins
