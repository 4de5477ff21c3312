"""``docs/parameters.md``, made from the models: ``python -m eas_engine.spec.document [FILE]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eas_engine.spec.cloud_only import NO_EFFECT_HERE
from eas_engine.spec.effects import IN_EFFECT, LATER
from eas_engine.spec.here import size
from eas_engine.spec.parameters import Kind, Parameter, service_parameters
from eas_engine.spec.presets import PRESETS

_HEAD: Final = """\
# Parameters of service.json

Made from the code by `python -m eas_engine.spec.document docs/parameters.md`; change the descriptions there.

`eas-engine check --config FILE` shows, for one file, what holds, where each value comes from, and what the
machine at hand will do with it.

## Reading the file

- Dotted and nested keys mean the same and may be mixed: `"metadata": {"rpc.keepalive": 1}`,
  `"metadata": {"rpc": {"keepalive": 1}}`, `"metadata.rpc.keepalive": 1`. Parameters of `metadata` may be
  written without it; `metadata.K` beats `K`. The maps `labels`, `model_config` and `autoscaler.strategies`
  are never split at dots.
- `"true"` and `"123"` are taken where a boolean and a number are meant. The empty string and `null` mean "not
  set".
- A key that stands twice in one object: a warning that names both lines; the last one holds.
- Sizes in bytes may have a suffix: `64Mi`, `1.5G` (powers of 1024).
- Unknown keys warn, with the nearest known name; `--strict` makes warnings errors.
- `-D metadata.rpc.max_queue_size=128` overrides the file and may be repeated; the value is JSON or else text;
  an empty value unsets. `-D containers[0].port=9000` reaches into a list.
- All errors come at once, each with its line, and end the start with exit status 2.

*In effect*: **yes**; **later** (accepted, and named in one warning at start); **not yet** (a start with it is
refused with exit status 2, because running without it would be something else than was asked for).
"""

_TITLES: Final = {
    "metadata": "metadata",
    "autoscaler": "autoscaler",
    "containers": "containers",
    "storage": "storage",
}


def document() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_tables(), *_presets(), *_cloud_only()]).rstrip() + "\n"


def _tables() -> Iterator[str]:
    top = service_parameters().parameters
    own = [one for one in top if one.path not in _TITLES]
    yield from _table("Top level", [inner for one in own for inner in _settable(one)])
    for one in top:
        if one.path in _TITLES:
            yield from _table(_TITLES[one.path], list(_settable(one)))


def _settable(parameter: Parameter) -> Iterator[Parameter]:
    if parameter.kind is not Kind.SECTION:
        yield parameter
    for child in parameter.children:
        yield from _settable(child)


def _table(title: str, parameters: list[Parameter]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| parameter | default | in effect | what it does |"
    yield "|---|---|---|---|"
    for one in parameters:
        yield f"| `{one.path}` | {_default(one)} | {_effect(one.path)} | {_meaning(one)} |"
    yield ""


def _meaning(parameter: Parameter) -> str:
    text = (parameter.info.description or "").replace("|", "\\|")
    unit = parameter.extra.get("unit")
    text += f" Unit: {unit}." if unit else ""
    bounds = _bounds(parameter)
    text += f" {bounds[0].upper()}{bounds[1:]}." if bounds else ""
    return f"{text} *Ours.*" if parameter.extra.get("ours") else text


def _bounds(parameter: Parameter) -> str:
    words = []
    for constraint in parameter.info.metadata:
        for name, word in (("ge", "at least"), ("gt", "more than"), ("le", "at most")):
            value = getattr(constraint, name, None)
            if value is not None:
                is_size = parameter.extra.get("unit") == "bytes" and value > 1024
                words.append(f"{word} {size(int(value)) if is_size else format(value, ',')}")
    return ", ".join(words)


def _default(parameter: Parameter) -> str:
    told = parameter.extra.get("shown_default")
    if told is not None:
        return str(told)
    if parameter.info.is_required():
        return "required"
    default = parameter.info.get_default(call_default_factory=True)
    if default is None or default in ("", (), {}):
        return "-"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _effect(path: str) -> str:
    def covers(listed: str) -> bool:
        return path == listed or path.startswith((f"{listed}.", f"{listed}[]"))

    later = [one for one in LATER if covers(one.path)]
    words = ["yes"] if any(covers(one) for one in IN_EFFECT) else []
    for one in later:
        word = "later" if one.outcome == "warn" else "not yet"
        narrowed = f"{word}: {one.why}" if words or len(later) > 1 else word
        words.append(narrowed)
    return "; ".join(words)


def _presets() -> Iterator[str]:
    yield "## Presets (`processor`)\n"
    yield "Codes may carry `_cpu`, `_gpu` and a version; the installed version serves them.\n"
    yield "| codes | served by |"
    yield "|---|---|"
    for preset in PRESETS:
        words = preset.served_by or f"a bundle of the vendor that is not public: {preset.instead}"
        yield f"| `{preset.name}` | {words} |"
    yield ""


def _cloud_only() -> Iterator[str]:
    yield "## Keys of the cloud without effect here\n"
    yield "Known, and reported as `no effect here` (with or without `metadata.`):\n"
    yield ", ".join(f"`{name}`" for name in NO_EFFECT_HERE) + "."


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
