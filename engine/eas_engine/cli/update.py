"""``eas-engine update``: another configuration for a running service, or what it would cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eas_engine.cli.changing import Manner, run
from eas_engine.cli.engines import change
from eas_engine.cli.target import Target
from eas_engine.cli.told import complain
from eas_engine.records import dataclass

_EFFECTS: Mapping[str, str] = {
    "nothing": "no parameter is new",  # what is known of the files is a note
    "at_once": "takes effect at once; no instance is touched",
    "instances": "instances start or leave; none is replaced",
    "rollout": "every instance is replaced, a few at a time",
    "engine": "takes a new start of the engine: an update can't do it",
}
_COSTS: Mapping[str, str] = {
    "nothing": "nothing",
    "at_once": "at once",
    "instances": "instances",
    "rollout": "rollout",
    "engine": "new start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What ``update`` was told."""

    file: Path | None
    define: Sequence[str] = ()
    strict: bool = False
    canary: str = ""
    shadow: str = ""
    slo: str = ""

    def query(self) -> dict[str, str | Sequence[str]]:
        """For the API; what wasn't given isn't in it."""
        given: dict[str, str | Sequence[str]] = {
            "source": str(self.file.absolute()) if self.file is not None else "",
            "define": list(self.define),
            "strict": "1" if self.strict else "",
            "canary": self.canary,
            "shadow": self.shadow,
            "slo": self.slo,
        }
        return {name: value for name, value in given.items() if value}

    def text(self) -> str:
        """Of the file; empty without one. Errors: ConfigurationError."""
        from eas_engine.spec.load import read_text
        from eas_engine.spec.problems import ConfigurationError, Problem

        if self.file is None:
            return ""
        text = read_text(self.file)
        if not text.strip():
            empty = Problem("", None, "is empty: expected the text of a service.json")
            raise ConfigurationError(self.file, [empty])
        return text


def run_update(target: Target, wanted: Wanted, manner: Manner) -> bool:
    """Update it. Did it end well? Errors: as ``changing.run``."""
    return run(target, "/service", wanted.query(), manner, wanted.text())


def run_plan(target: Target, wanted: Wanted, *, as_json: bool) -> bool:
    """Print what the update would do. Could it be done? Errors: as ``changing.run``."""
    text = wanted.text()
    plan = change(target.find_to_change(), "/service", {**wanted.query(), "dry_run": "1"}, text)
    if as_json:
        from eas_engine.cli.output import print_json

        print_json(plan)
    else:
        _show(plan)
    if plan["effect"] == "engine":
        complain(f"it {_EFFECTS['engine']}")
    return bool(plan["effect"] != "engine")


def _show(plan: Mapping[str, Any]) -> None:
    from eas_engine.cli.output import console, listing, plain

    out = console()
    if plan["changes"]:
        rows = [
            (one["path"], _value(one["before"]), _value(one["after"]), _COSTS[one["effect"]])
            for one in plan["changes"]
        ]
        listing(out, ("parameter", "before", "after", "costs"), rows)
    for note in plan["notes"]:
        out.print(plain(note))
    for warning in plan["warnings"]:
        out.print(plain(f"warning: {warning}", "yellow"))
    out.print(plain(_EFFECTS[plan["effect"]], "bold"))


def _value(value: object) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
