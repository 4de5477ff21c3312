"""``docs/settings.md``, made from the keys: ``python -m eas_engine.spec.engine.document [FILE]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from eas_engine.spec.engine.environment import option_variable
from eas_engine.spec.engine.keys import OPTIONS, TABLES, Keys

_HEAD: Final = """\
# Engine settings

Made from the code by `python -m eas_engine.spec.engine.document docs/settings.md`; change the descriptions
there.

`service.json` says what one service is like. `eas-engine.toml` says what holds for every service of a
machine: its resource groups, machine types of its own, and defaults of flags.

```toml
port = 8081

[groups.fast]
cpus = "0-5"
memory = "16Gi"
priority = 10

[groups.slow]
numa = [1]

[types."ours.small"]
cpu = 2
memory = "4Gi"
```

## Which file

The first of these that exists:

1. the one that `--settings FILE` or `EAS_SETTINGS` names (it must exist);
2. `eas-engine.toml` in the state directory's root (`--state-dir`; else `/var/lib/eas-engine` for root, and
   `~/.local/state/eas-engine` for others);
3. `/etc/eas-engine/eas-engine.toml`.

The log of a start says which it was (`engine settings`), and `eas-engine check` shows every key with its
origin. An engine reads its settings once, when it starts. Engines of one machine should be given the same
ones; where they differ, they still count each other's CPUs right ([pools](pools.md)).

## What holds

A flag beats its environment variable, and that beats the file. Every key has a variable: `EAS_` and the key
in capitals, with two underscores for each dot. `admin_port` is `EAS_ADMIN_PORT`, `groups.fast.cpus` is
`EAS_GROUPS__FAST__CPUS`, `types."ours.small".cpu` is `EAS_TYPES__OURS_SMALL__CPU`: names are compared
without case, and what a variable's name can't hold is `_` in it. A name that the file doesn't have makes a
new group or type, in small letters. An empty variable says nothing.

All mistakes come at once, each with its line or variable, and end the start with exit status 2: unknown
keys (with the nearest known one), CPUs or NUMA nodes that this machine hasn't got or that the engine may
not use, CPUs in two groups, more memory in groups than there is.
"""


def document() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_options(), *_tables()]).rstrip() + "\n"


def _options() -> Iterator[str]:
    yield "## Defaults of flags\n"
    yield from _table([(name, option_variable(name), Keys.model_fields[name]) for name in OPTIONS])


def _tables() -> Iterator[str]:
    titles = {"groups": "Resource groups: `[groups.NAME]`", "types": "Own machine types: `[types.NAME]`"}
    for table, model in TABLES.items():
        yield f"## {titles[table]}\n"
        yield f"{_INTRODUCTIONS[table]}\n"
        start = f"{option_variable(table)}__NAME__"
        yield from _table([(name, start + name.upper(), info) for name, info in model.model_fields.items()])


_INTRODUCTIONS: Final = {
    "groups": """\
`metadata.resource` of a service names one; [pools](pools.md) says what comes of it. Names are letters,
digits, `.`, `_` and `-`; one with a dot needs quotes: `[groups."team.fast"]`.""",
    "types": """\
What `cloud.computing.instance_type` and `instances` may name beside the common ECS types; one with the name
of a common one takes its place.""",
}


def _table(rows: list[tuple[str, str, FieldInfo]]) -> Iterator[str]:
    yield "| key | variable | default | what it does |"
    yield "|---|---|---|---|"
    for name, variable, info in rows:
        yield f"| `{name}` | `{variable}` | {_default(info)} | {info.description} |"
    yield ""


def _default(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    told = extra.get("shown_default") if isinstance(extra, dict) else None
    if told is not None:
        return str(told)
    return "required" if info.is_required() else f"`{info.default}`"


def main(arguments: list[str]) -> int:
    """Write the page to the file named, or to standard output."""
    text = document()
    if arguments:
        Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
