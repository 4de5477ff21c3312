"""``eas-engine doctor``: one page on this machine, and what a service would miss on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from eas_engine import spec
from eas_engine.cli.check import Engine, examine
from eas_engine.cli.facts import Sources, facts, here, lacking
from eas_engine.spec.check import as_data
from eas_engine.spec.machine import Machine

FINE, TROUBLE, MISSING = 0, 1, 2
"""Exit statuses: nothing is wrong; something is with this machine; the service can't be started here."""

_NONE: Final = "none"


def run(config: Path | None, define: Sequence[str], engine: Engine, *, as_json: bool) -> int:
    """Print it; the exit status."""
    sources = here()
    try:
        found = diagnosis(config, define, engine, spec.this_machine(), sources)
    finally:
        if sources.nvml is not None:
            sources.nvml.nvmlShutdown()
    if as_json:
        from eas_engine.cli.output import print_json

        print_json(found)
    else:
        show(found)
    return status(found)


def diagnosis(
    config: Path | None, define: Sequence[str], engine: Engine, machine: Machine, sources: Sources
) -> dict[str, Any]:
    """The facts, and with a file what it misses."""
    found = facts(machine, sources)
    if config is None:
        troubles = [*found["troubles"], *_settings(engine, machine)]
        return {**found, "troubles": troubles, "config": None}
    checked, loaded = examine(config, define, engine, machine)
    missing = list(checked.get("missing", ()))
    if loaded is not None:
        missing += lacking(loaded.spec, found)
    problems = [*checked.get("errors", ()), *checked.get("refusals", ())]
    told = {"source": checked["source"], "startable": checked["startable"], "missing": missing}
    return {**found, "config": {**told, "problems": problems, "warnings": checked["warnings"]}}


def _settings(engine: Engine, machine: Machine) -> Iterator[str]:
    """What is wrong with the engine settings, in their file or in variables; every engine here has them."""
    try:
        engine.read(machine)
    except spec.ConfigurationError as error:
        for one in error.problems:
            yield f"engine settings ({error.source}): {_problem(as_data(one))}"


def status(found: Mapping[str, Any]) -> int:
    """The exit status of a diagnosis: with a file it is about the file."""
    config = found["config"]
    if config is not None:
        return FINE if config["startable"] and not config["missing"] else MISSING
    return TROUBLE if found["troubles"] else FINE


def show(found: Mapping[str, Any]) -> None:
    """For a person."""
    from eas_engine.cli.output import console, listing, plain

    out = console()
    listing(out, ("", ""), [[plain(name, "bold"), value] for name, value in rows(found)])
    config = found["config"] or {}
    for title, lines, style in (
        ("wrong with this machine", found["troubles"], "red"),
        (f"{config.get('source')} misses here", config.get("missing", ()), "yellow"),
        (f"warnings of {config.get('source')}", map(_problem, config.get("warnings", ())), "yellow"),
        (f"{config.get('source')} can't be started here", map(_problem, config.get("problems", ())), "red"),
    ):
        if listed := list(lines):
            out.print(plain(f"{title}:", style))
            for line in listed:
                out.print(plain(f"  {line}"))
    if config and status(found) == FINE:
        out.print(plain(f"{config['source']}: nothing is missing here", "green"))


def rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values, in the order in which they are shown."""
    from eas_engine.cli.output import size

    engine, cpus, driver = found["engine"], found["cpus"], found["driver"]
    nodes = f", {len(cpus['nodes'])} NUMA nodes" if len(cpus["nodes"]) > 1 else ""
    yield "eas-engine", f"{engine['version']}, Python {engine['python']} ({engine['prefix']})"
    yield "CPUs", f"{cpus['usable']}{nodes}"
    yield "memory", size(found["memory_bytes"])
    yield "disk", f"{size(found['disk_free_bytes'])} free"
    for name, group in found["cgroups"].items():
        yield f"cgroup {name}", group["by"] or f"{_NONE}: {group['reason']}"
    yield "NVIDIA driver", _driver(driver)
    for card in found["cards"]:
        yield ("  MIG slice" if card["card"] else "card"), _card(card)
    if not found["cards"]:
        yield "cards", _NONE
    yield "CUDA toolkits", ", ".join(found["cuda_toolkits"]) or _NONE
    yield "MPS", found["mps"] or f"{_NONE}: nvidia-cuda-mps-control is not on PATH"
    if found["java_home"]:
        yield "JAVA_HOME", found["java_home"]
    for kind in ("java", "compilers", "containers"):
        for name, version in found[kind].items():
            yield name, version or _NONE
    whole = [name for name, absent in found["extras"].items() if not absent]
    yield "extras", ", ".join(whole) or _NONE
    yield "other extras", ", ".join(name for name in found["extras"] if name not in whole) or _NONE


def _driver(driver: Mapping[str, Any]) -> str:
    if not driver["library"]:
        return _NONE
    if not driver["package"]:
        return "its library is here; its package isn't (pip install 'eas-engine[gpu]')"
    return f"{driver['version']}, up to CUDA {driver['cuda']}" if driver["answers"] else "doesn't answer"


def _card(card: Mapping[str, Any]) -> str:
    from eas_engine.cli.output import size

    used = card["memory_used_bytes"]
    parts = [card["name"], f"{size(card['memory_bytes'])}" + (f" ({size(used)} in use)" if used else "")]
    if card["processes"]:
        parts.append(f"{len(card['processes'])} processes")
    parts += [f"{card[name]:g} {unit}" for name, unit in _UNITS.items() if card[name] is not None]
    parts += [f"NUMA node {card['node']}"] if card["node"] is not None else []
    return ", ".join([*parts, card["uuid"]]) + (f": {card['trouble']}" if card["trouble"] else "")


_UNITS: Final = {"utilization": "% busy", "watts": "W", "celsius": "degrees C"}


def _problem(one: Mapping[str, Any]) -> str:
    where = f"line {one['line']}: " if one["line"] is not None else ""
    return f"{where}{one['path']}: {one['message']}" if one["path"] else f"{where}{one['message']}"
