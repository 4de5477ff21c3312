"""``eas-engine check`` and ``schema``: what ``spec.check`` says, for a person or a machine.

``spec`` knows the file alone; whether the processor and the model are where it says, ``artifacts`` knows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eas_engine import spec
from eas_engine.artifacts.local import look
from eas_engine.errors import StartError
from eas_engine.options import settings_file
from eas_engine.records import dataclass
from eas_engine.spec.check import as_data, failure, report
from eas_engine.spec.engine.load import Read
from eas_engine.spec.engine.load import load as load_settings
from eas_engine.spec.load import Loaded
from eas_engine.spec.machine import Machine
from eas_engine.spec.problems import Problem, origin_of, problem_at
from eas_engine.state import default_root

_COLOURS = {"in effect": "", "not in effect yet": "yellow", "not yet: refused": "red"}


@dataclass(frozen=True, slots=True)
class Engine:
    """Where the settings of the engine are looked for."""

    settings: Path | None
    state_dir: Path | None

    def read(self, machine: Machine) -> Read:
        """Those that hold. Errors: ConfigurationError."""
        root = (self.state_dir or default_root()).absolute()
        return load_settings(settings_file(self.settings, root), machine, os.environ)


def run(
    config: Path, define: Sequence[str], engine: Engine, *, strict: bool, everything: bool, as_json: bool
) -> bool:
    """Print it. Could the service be started here?

    ``everything``: a person sees the parameters at their defaults, too; a machine always does.
    """
    found, _ = examine(config, define, engine, spec.this_machine(), strict=strict)
    if as_json:
        from eas_engine.cli.output import print_json

        print_json(found)
    else:
        _show(found, everything=everything)
    return bool(found["startable"])


def examine(
    config: Path, define: Sequence[str], engine: Engine, machine: Machine, *, strict: bool = False
) -> tuple[dict[str, Any], Loaded | None]:
    """What there is to say of a file on that machine, and what was read; None: it can't be read."""
    try:
        settings = engine.read(machine)
        machine = replace(machine, settings=settings.settings)
        loaded = spec.load(config, overrides=define, strict=strict, machine=machine)
    except spec.ConfigurationError as error:
        return failure(error), None
    return {**_report(loaded), "settings": _settings(settings)}, loaded


def _report(loaded: Loaded) -> dict[str, Any]:
    found = report(loaded)
    if found["startable"] and (absent := _absent(loaded)) is not None:
        found["refusals"] = [as_data(absent)]
        found["startable"] = False
    return found


def _settings(read: Read) -> dict[str, Any]:
    """The engine settings as they were given, as JSON."""
    values = [
        {
            "key": key,
            "value": value,
            "origin": {"kind": origin.kind, "line": origin.line, "detail": origin.detail},
        }
        for key, value in read.values.items()
        for origin in (origin_of(key, read.origins),)
    ]
    return {"source": read.settings.source, "values": values}


def _absent(loaded: Loaded) -> Problem | None:
    """What isn't there that can be looked at without fetching, by its parameter; as ``serve`` finds out."""
    try:
        look(loaded.spec, loaded.base)
    except StartError as error:
        parameter, colon, message = str(error).partition(": ")
        if colon and parameter in loaded.origins:
            return problem_at(parameter, loaded.origins, message)
        return Problem("", None, str(error))
    return None


def print_schema() -> None:
    """JSON Schema on stdout."""
    from eas_engine.cli.output import print_json
    from eas_engine.spec.schema import schema

    print_json(schema())


def _show(found: Mapping[str, Any], *, everything: bool) -> None:
    from eas_engine.cli.output import console, plain

    out = console()
    if parameters := found.get("parameters"):
        shown = [one for one in parameters if everything or one["origin"]["kind"] != "default"]
        _show_parameters(out, shown)
        if rest := len(parameters) - len(shown):
            out.print(plain(f"{rest} more are at their defaults; --all shows them", "dim"))
        out.print()
    _show_settings(out, found.get("settings", {}))
    for line in found.get("summary", ()):
        out.print(plain(line))
    _list(out, "not on this machine", [str(line) for line in found.get("missing", ())], "yellow")
    _list(out, "warnings", [_problem(one) for one in found["warnings"]], "yellow")
    _list(out, "errors", [_problem(one) for one in found.get("errors", ())], "red")
    _list(out, "it can't be started here", [_problem(one) for one in found.get("refusals", ())], "red")
    verdict = "can be started here" if found["startable"] else "can't be started here"
    out.print(plain(f"{found['source']}: {verdict}", "green" if found["startable"] else "red bold"))


def _show_parameters(out: Any, parameters: Sequence[Mapping[str, Any]]) -> None:
    from eas_engine.cli.output import listing, plain

    rows = [
        [
            one["path"],
            _value(one),
            _origin(one["origin"]),
            plain(one["here"] or one["effect"], _COLOURS.get(one["effect"], "")),
        ]
        for one in parameters
    ]
    listing(out, ("parameter", "value", "from", "on this machine"), rows)


def _show_settings(out: Any, settings: Mapping[str, Any]) -> None:
    from eas_engine.cli.output import listing, plain

    if not settings.get("values"):
        return
    out.print(plain(f"engine settings ({settings['source'] or 'no file'}):"))
    rows = [[one["key"], _value(one), _origin(one["origin"])] for one in settings["values"]]
    listing(out, ("key", "value", "from"), rows)
    out.print()


def _list(out: Any, title: str, lines: Sequence[str], style: str) -> None:
    from eas_engine.cli.output import plain

    if lines:
        out.print(plain(f"{title}:", style))
        for line in lines:
            out.print(plain(f"  {line}"))


def _problem(one: Mapping[str, Any]) -> str:
    where = f"line {one['line']}: " if one["line"] is not None else ""
    return f"{where}{one['path']}: {one['message']}" if one["path"] else f"{where}{one['message']}"


def _value(one: Mapping[str, Any]) -> str:
    value = one["value"]
    if value is None or value in ("", [], {}):
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text} {one['unit']}" if one.get("unit") else text


def _origin(origin: Mapping[str, Any]) -> str:
    if origin["kind"] == "file":
        return f"line {origin['line']}"
    return f"{origin['kind']}: {origin['detail']}" if origin["detail"] else str(origin["kind"])
