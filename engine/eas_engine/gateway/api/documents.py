"""Operations, versions, plans and events as JSON; ``schemas`` describes them. No secret is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eas_engine.operations import Change, Event, Operation, Plan, Version
from eas_engine.telemetry.status import without_secrets


def plan(of: Plan) -> dict[str, Any]:
    """Of an update that was only asked about."""
    return {
        "effect": of.effect,
        "changes": [_change(one) for one in of.changes],
        "notes": of.notes,
        "warnings": of.warnings,
    }


def _change(of: Change) -> dict[str, Any]:
    return {"path": of.path, "before": of.before, "after": of.after, "effect": of.effect}


def operation(of: Operation) -> dict[str, Any]:
    """One change."""
    return {
        "number": of.number,
        "kind": of.kind,
        "by": of.by,
        "state": of.state,
        "over": of.state.is_over,
        "effect": of.effect,
        "version": of.version,
        "started": of.started,
        "ended": of.ended,
        "reason": of.reason,
        "wanted": of.wanted,
        "updated": of.updated,
        "ready": of.ready,
        "fetching": {name: {"bytes": done, "of": total} for name, (done, total) in of.fetching.items()},
        "problems": of.problems,
        "warnings": list(of.warnings),
        "waits": of.waits,
    }


def version(of: Version) -> dict[str, Any]:
    """One configuration, without its text."""
    return {
        "number": of.number,
        "time": of.time,
        "source": of.source,
        "digest": of.digest,
        "overrides": [masked(one) for one in of.overrides],
        "kind": of.kind,
        "by": of.by,
        "state": of.state,
        "reason": of.reason,
        "files": of.files,
        "pinned": of.pinned,
        "rejected": of.rejected,
        "instances": of.instances,
        "replaced_at": of.replaced_at,
    }


def event(of: Event) -> dict[str, Any]:
    """One line of the history."""
    return {
        "number": of.number,
        "time": of.time,
        "kind": of.kind,
        "text": of.text,
        "by": of.by,
        "before": of.before,
        "after": of.after,
    }


def masked(override: str) -> str:
    """``key=value`` of a ``-D``, the value hidden if the key names a secret, or its JSON holds some."""
    key, equals, value = override.partition("=")
    name = key.rpartition(".")[2]
    try:
        tree = json.loads(value)
    except (ValueError, RecursionError):
        tree = value
    if not isinstance(tree, Mapping | list):
        return f"{key}{equals}{without_secrets(value, name)}"
    return f"{key}{equals}{json.dumps(without_secrets(tree, name), ensure_ascii=False)}"
