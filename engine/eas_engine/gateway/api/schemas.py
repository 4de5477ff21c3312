"""What the answers of the admin API are made of: JSON Schema, by hand, beside ``documents`` that writes them.

A test holds real answers against them. What an engine may add to, says so by allowing other properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eas_engine.operations import Effect, OperationState

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_TIME: Final[Schema] = {"type": "number", "description": "Seconds since the epoch."}
_WORDS: Final[Schema] = {"type": "array", "items": _TEXT}
_EFFECT: Final[Schema] = {
    "type": "string",
    "enum": [str(one) for one in Effect],
    "description": "What it costs: nothing; at_once, without touching an instance; instances that start or "
    "leave; a rollout that replaces all; or a new start of the engine, which no update can do.",
}
_EVERYTHING: Final[Schema] = {"description": "Any value; secrets are hidden."}


def _object(properties: Mapping[str, Any], *, open_: bool = False, about: str = "") -> Schema:
    """All of these, and, unless open, nothing else."""
    described = {"description": about} if about else {}
    return {
        "type": "object",
        **described,
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": open_,
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


_VERSION: Final[Schema] = {
    "number": {"type": "integer", "minimum": 1},
    "time": _TIME,
    "source": {"type": "string", "description": "The file that it came from."},
    "digest": {"type": "string", "description": "SHA-256 of file and overrides."},
    "overrides": {**_WORDS, "description": "Those of -D; values that are secret are masked."},
    "kind": {"type": "string", "description": "What made it: start, update, scale, restart or rollback."},
    "by": _TEXT,
    "state": {"type": "string", "enum": ["current", "replaced", "trying", "preparing", "failed"]},
    "reason": {"type": "string", "description": "Why it failed."},
    "files": {
        "type": "string",
        "description": "Of the model and the processor that it held with, last: the same for the same ones.",
    },
    "pinned": {
        "type": "boolean",
        "description": "It was gone back to, and goes on with these files, whatever lies at its addresses.",
    },
    "rejected": {
        "type": "boolean",
        "description": "An operator went back from it, and it hasn't held since.",
    },
    "instances": _COUNT,
    "replaced_at": _or_null(
        {**_TIME, "description": "When another took its place, seconds since the epoch."}
    ),
}

_TRIED: Final[Schema] = {
    "version": {"type": "integer", "minimum": 1},
    "kind": {"type": "string", "enum": ["canary", "shadow"]},
    "share": {
        "type": "number",
        "description": "Of the requests that it answers, or gets copies of; 0.1 is 10%.",
    },
    "objective": {
        "type": "string",
        "description": "What a canary must keep, or it is dismissed; empty: nothing.",
    },
    "wanted": _COUNT,
    "ready": _COUNT,
}

_TRIAL: Final[Schema] = {
    "type": "object",
    "description": "What is tried out beside the service, or was the last to be.",
    "properties": {**_TRIED, "state": {"type": "string", "enum": ["trying", "promoted", "dismissed"]}},
    "required": ["version", "state", "wanted", "ready"],
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": _object(
        {"error": _TEXT, "problems": {"type": "array", "items": _ref("Problem")}},
        about="Why nothing was done.",
    ),
    "Problem": _object(
        {"path": _TEXT, "line": _or_null({"type": "integer"}), "message": _TEXT},
        open_=True,
        about="One complaint about a configuration.",
    ),
    "Service": _object(
        {
            "name": _TEXT,
            "workspace_id": _TEXT,
            "version": {"type": "string", "description": "Of the engine."},
            "pid": _COUNT,
            "uptime_seconds": {"type": "number"},
            "url": _TEXT,
            "ready": {"type": "boolean"},
            "reasons": {**_WORDS, "description": "Why it isn't ready."},
            "queue": _object({"depth": _COUNT, "capacity": _COUNT, "in_flight": _COUNT}, open_=True),
            "threads": _object({"busy": _COUNT, "all": _COUNT}, open_=True),
            "answers": {"type": "object", "additionalProperties": _COUNT, "description": "By HTTP status."},
            "instances": _list("Instance"),
            "trial": _or_null(_TRIAL),
            "warnings": _WORDS,
            "configuration": {"type": "object", "description": "In effect; secrets are masked."},
        },
        open_=True,
    ),
    "Instance": _object(
        {
            "name": _TEXT,
            "state": {"type": "string", "examples": ["STARTING", "READY", "DRAINING"]},
            "version": {
                "type": "integer",
                "minimum": 1,
                "description": "Of the configuration that it runs by: that of its start, or a later one that "
                "took no new process.",
            },
            "release": {
                "type": "integer",
                "minimum": 1,
                "description": "What its processes were started from: counts the rollouts and trials since "
                "the engine started.",
            },
            "reason": {
                "type": "string",
                "description": "Why it isn't ready; of one that is, what hangs in it.",
            },
            "pids": {"type": "array", "items": _COUNT},
            "uptime_seconds": _or_null({"type": "number"}),
            "threads": _object({"busy": _COUNT, "all": _COUNT}, open_=True),
            "memory_bytes": _COUNT,
            "cpu_seconds": {"type": "number"},
            "restarts": {"type": "object", "additionalProperties": _COUNT, "description": "By cause."},
            "log": {**_WORDS, "description": "What it printed last."},
        },
        open_=True,
    ),
    "Instances": _object({"instances": _list("Instance")}),
    "Operation": _object(
        {
            "number": _COUNT,
            "kind": {
                "type": "string",
                "examples": ["update", "scale", "restart", "rollback", "promote", "stop", "start", "drain"],
            },
            "by": _TEXT,
            "state": {"type": "string", "enum": [str(one) for one in OperationState]},
            "over": {"type": "boolean", "description": "Nothing will come of it any more."},
            "effect": _EFFECT,
            "version": _or_null({"type": "integer", "description": "That it leads to."}),
            "started": _TIME,
            "ended": _or_null(_TIME),
            "reason": {"type": "string", "description": "Why it failed; else what there is to say."},
            "wanted": {**_COUNT, "description": "Instances that are to be there."},
            "updated": {**_COUNT, "description": "Those that are ready and of the new release."},
            "ready": {**_COUNT, "description": "Those that are ready."},
            "fetching": {
                "type": "object",
                "additionalProperties": _object({"bytes": _COUNT, "of": _or_null(_COUNT)}),
                "description": "What is being fetched: bytes so far, and in all if that is known.",
            },
            "problems": {"type": "array", "items": _ref("Problem")},
            "warnings": {"type": "array", "items": _TEXT},
            "waits": {"type": "string", "description": "What it waits for now."},
        },
        about="A change from its acceptance to its end.",
    ),
    "Operations": _object({"operations": _list("Operation")}),
    "Plan": _object(
        {
            "effect": _EFFECT,
            "changes": {
                "type": "array",
                "items": _object(
                    {"path": _TEXT, "before": _EVERYTHING, "after": _EVERYTHING, "effect": _EFFECT}
                ),
            },
            "notes": _WORDS,
            "warnings": _WORDS,
        },
        about="What an update would do.",
    ),
    "Version": _object(_VERSION, about="A configuration that was accepted."),
    "VersionWithConfiguration": _object(
        {
            **_VERSION,
            "configuration": _or_null({"type": "object", "description": "Effective; secrets are masked."}),
        }
    ),
    "Versions": _object({"versions": _list("Version")}),
    "Event": _object(
        {
            "number": _COUNT,
            "time": _TIME,
            "kind": {"type": "string", "description": "Stable; docs/operating.md lists them."},
            "text": {"type": "string", "description": "For people."},
            "by": _TEXT,
            "before": _EVERYTHING,
            "after": _EVERYTHING,
        }
    ),
    "Events": _object(
        {
            "events": _list("Event"),
            "next": {**_COUNT, "description": "As `since`: what comes after these."},
        }
    ),
    "LogLine": _object({"instance": _TEXT, "stream": {"enum": ["stdout", "stderr"]}, "text": _TEXT}),
    "Cleared": _object(
        {
            "deleted": {**_WORDS, "description": "Crashes."},
            "restarted": {**_WORDS, "description": "What they had blocked."},
        }
    ),
    "Autoscale": {"type": "object", "description": "Settings, state and the last decisions."},
    "Comparison": {
        "type": "object",
        "description": "Counts, errors and latency of both sides.",
        "properties": _TRIED,
    },
}
