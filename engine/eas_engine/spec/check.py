"""``eas-engine check`` as data: what holds, where it comes from, what happens here, what is missing.

It explains every service that can be read, also one that can't be started. Secrets are not shown.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from eas_engine.secrecy import is_secret, redacted
from eas_engine.spec import addresses, cards, presets
from eas_engine.spec.effects import IN_EFFECT, LATER, default_spec, not_in_effect, startable
from eas_engine.spec.here import WORDS, size
from eas_engine.spec.load import Loaded
from eas_engine.spec.parameters import Parameter, settable, value_of
from eas_engine.spec.problems import (
    HIDDEN,
    ConfigurationError,
    Origin,
    Problem,
    in_order,
    problem_at,
    shown,
)

_ADDRESSES: Final = ("model_path", "processor_path", "warm_up_data_path")
_RUNS: Final = ("processor", "processor_type", "containers")
_IMAGE_TIMEOUT: Final = 20.0

_SENTENCE_END: Final = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\.)\. (?=[A-Z`0-9])")

HasImage = Callable[[str, str], bool]


def report(loaded: Loaded, *, has_image: HasImage | None = None) -> dict[str, Any]:
    """Everything ``check`` has to say; JSON-able. ``has_image(tool, image)`` asks the container tool."""
    refusals, warnings = startable(loaded)
    refusals += [
        problem_at("processor", loaded.origins, f"not installed: {one}") for one in _packages(loaded)
    ]
    machine = loaded.machine
    return {
        "source": str(loaded.source),
        "name": loaded.spec.name,
        "startable": not refusals,
        "summary": [*overridden(loaded), *what_runs(loaded)],
        "missing": list(missing(loaded, has_image or image_is_here)),
        "refusals": [as_data(one) for one in in_order(refusals)],
        "warnings": [as_data(one) for one in in_order([*loaded.warnings, *warnings])],
        "parameters": effective(loaded),
        "machine": {
            "cpus": machine.cpus,
            "memory_bytes": machine.memory_bytes,
            "gpus": [
                {"name": card.name, "memory_bytes": card.memory_bytes, "uuid": card.uuid}
                for card in machine.gpus
            ],
            "mps": machine.mps,
            "disk_free_bytes": machine.disk_free_bytes,
            "cuda_toolkits": list(machine.cuda_toolkits),
            "container_tool": machine.container_tool,
            "limits": {
                "cpu": machine.cgroups.by("cpu") or "affinity",
                "memory": machine.cgroups.by("memory") or "watchdog",
            },
        },
    }


def failure(error: ConfigurationError) -> dict[str, Any]:
    """The same for a file that can't be read as a service."""
    return {
        "source": error.source,
        "startable": False,
        "errors": [as_data(one) for one in error.problems],
        "warnings": [as_data(one) for one in error.warnings],
    }


def as_data(problem: Problem) -> dict[str, Any]:
    """A complaint as JSON."""
    return {"path": problem.path, "line": problem.line, "message": problem.message}


def effective(loaded: Loaded) -> list[dict[str, Any]]:
    """Every parameter with its value, origin, and what this machine does with it; without secrets."""
    later = {one.path: one for one in not_in_effect(loaded)}
    result: list[dict[str, Any]] = []
    for parameter in settable():
        if "[]" in parameter.path or parameter.path not in loaded.origins:
            continue
        origin = loaded.origins[parameter.path]
        outcome = next((one for path, one in later.items() if _covers(path, parameter.path)), None)
        at_default = value_of(loaded.spec, parameter.path) == value_of(default_spec(), parameter.path)
        effect = _EFFECTS[outcome.outcome] if outcome is not None and not at_default else "in effect"
        if effect == "in effect" and at_default and parameter.path in _later_paths():
            effect = "not asked for"
        result.append(
            {
                "path": parameter.path,
                "value": shown_value(loaded, parameter),
                "unit": parameter.extra.get("unit"),
                "origin": {"kind": origin.kind, "line": origin.line, "detail": origin.detail},
                "effect": effect,
                "here": _here(loaded, parameter, effect),
            }
        )
    return result


@cache
def _later_paths() -> frozenset[str]:
    """The parameters that are only ever in effect later."""
    later = [one.path for one in LATER if one.path not in IN_EFFECT]
    return frozenset(one.path for one in settable() if any(_covers(path, one.path) for path in later))


_EFFECTS: Final[Mapping[str, str]] = {"warn": "not in effect yet", "refuse": "not yet: refused"}


def _covers(path: str, inner: str) -> bool:
    return inner == path or inner.startswith(path + ".")


def _here(loaded: Loaded, parameter: Parameter, effect: str) -> str:
    words = WORDS.get(parameter.path)
    text = words(loaded.spec, loaded.machine) if words is not None else ""
    if parameter.path in loaded.emptied:
        text = text or "empty, so not set"
    if effect == "in effect":
        return text or _first_sentence(parameter.info.description or "")
    if effect != "not asked for":
        text = f"{effect} ({text})" if text else effect
    return text


def _first_sentence(text: str) -> str:
    """Without its full stop; neither ``e.g.`` nor ``..`` ends one."""
    return _SENTENCE_END.split(text, maxsplit=1)[0].removesuffix(".")


def shown_value(loaded: Loaded, parameter: Parameter) -> Any:
    """A parameter's value as JSON, for everybody: secrets are hidden."""
    value = value_of(loaded.spec, parameter.path)
    if parameter.extra.get("secret") and value:
        return HIDDEN
    if parameter.path in _ADDRESSES:
        return redacted(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    """A value as JSON, by the file's own spellings, whole numbers as integers, secrets hidden."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        plain = {info.alias or name: _plain(getattr(value, name)) for name, info in fields}
        if set(plain) == {"name", "value"} and is_secret(str(plain["name"])):
            plain["value"] = HIDDEN
        return {name: one for name, one in plain.items() if one is not None}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def overridden(loaded: Loaded) -> Iterator[str]:
    """What stands in the file and doesn't count: overridden by a later key, or empty."""
    lost: set[str] = set()
    for one in loaded.duplicates:
        path = ".".join(one.path)
        lost.add(path)
        kept = one.second.node.plain()
        empty = kept is None or kept == ""
        by = "empty value" if empty else f"value {shown(kept, path)}"
        rest = f", so {path} is not set" if empty else ""
        dropped = shown(one.first.node.plain(), path)
        yield (
            f"{path}: {dropped} (line {one.first.line}) is overridden by the later {by} "
            f"(line {one.second.line}){rest}"
        )
    empty_ones = [path for path in loaded.emptied if path not in lost]
    if empty_ones:
        yield f"empty, so not set: {', '.join(empty_ones)}"


def what_runs(loaded: Loaded) -> Iterator[str]:
    """Which of the three ways of saying what to run was taken, and how many instances of it."""
    spec = loaded.spec
    given = next(name for name in _RUNS if value_of(spec, name))
    origin = loaded.origins.get(given, Origin("default"))
    if given == "containers":
        program = WORDS["containers"](spec, loaded.machine)
        yield f"a container is given ({origin}): it decides what runs: {program}"
    elif given == "processor":
        yield f"processor {spec.processor} ({origin}): {WORDS['processor'](spec, loaded.machine)}"
    else:
        entry = spec.processor_entry or spec.processor_mainclass
        yield f"a {spec.processor_type} processor ({origin}): {entry}"
    yield WORDS["metadata.instance"](spec, loaded.machine)


def missing(loaded: Loaded, has_image: HasImage) -> Iterator[str]:
    """What the service needs and this machine, or the environment, hasn't got."""
    spec, machine = loaded.spec, loaded.machine
    yield from _packages(loaded)
    for container in spec.containers:
        if container.image and not machine.container_tool:
            yield f"image {container.image}: neither podman nor Docker is installed"
        elif container.image and not has_image(machine.container_tool, container.image):
            yield f"image {container.image}: not on this machine; it would have to be pulled"
    if _uses_oss(loaded) and not machine.oss_credentials:
        yield (
            "OSS credentials: neither OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET nor ~/.ossutilconfig is "
            "there; only what is public can be read"
        )
    wanted = cards.wanted(spec)
    if wanted.whole > len(machine.gpus):
        yield f"GPUs: {wanted.whole} asked for, this machine has {len(machine.gpus) or 'none'}"
    largest = max((card.memory_bytes for card in machine.gpus), default=0)
    if wanted.memory > largest:
        here = f"the largest card has {size(largest)}" if machine.gpus else "this machine has no GPU"
        yield f"GPU memory: {spec.metadata.gpu_memory} GB asked for, {here}"
    if wanted.percent and machine.gpus and not machine.mps:
        yield "MPS: nvidia-cuda-mps-control isn't installed, so nothing enforces gpu_core_percentage"
    if spec.metadata.cuda and spec.metadata.cuda not in machine.cuda_toolkits:
        yield f"CUDA {spec.metadata.cuda}: {WORDS['metadata.cuda'](spec, machine)}"


def _packages(loaded: Loaded) -> Iterator[str]:
    """What a preset needs and isn't installed; a start looks for it, too, and ends with exit status 4."""
    preset = presets.find(loaded.spec.processor)
    lacking = loaded.machine.packages.lacking(preset.modules) if preset is not None else ()
    if preset is not None and lacking:
        yield f"packages of the preset {preset.name} ({', '.join(lacking)}): {preset.install}"


def _uses_oss(loaded: Loaded) -> bool:
    spec = loaded.spec
    paths = (spec.model_path, spec.processor_path, spec.warm_up_data_path)
    return any(addresses.scheme(one) == "oss" for one in paths) or any(mount.oss for mount in spec.storage)


def image_is_here(tool: str, image: str) -> bool:
    """Ask podman or Docker whether the image is on this machine; a tool that doesn't answer counts as no."""
    try:
        done = subprocess.run(
            [tool, "image", "inspect", "--", image], capture_output=True, timeout=_IMAGE_TIMEOUT, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
