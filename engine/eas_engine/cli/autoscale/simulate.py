"""``eas-engine autoscale simulate``: what the settings of a file would do with a load."""

from __future__ import annotations

import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from eas_engine import spec
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass
from eas_engine.spec.schedules import zone
from eas_engine.supervisor.autoscale import trace as traces
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings
from eas_engine.supervisor.autoscale.simulate import Model, Outcome, simulate

_SHOWN = 15  # changes; all with --json
_KINDS = (".html", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of the command; times are seconds."""

    config: Path
    define: tuple[str, ...]
    trace: Path
    service_time: float | None
    threads: int | None
    startup: float
    cpu_share: float
    instances: int | None
    at: str
    plot: Path | None


def run(asked: Asked, *, as_json: bool) -> None:
    """Simulate and print. Errors: ConfigurationError."""
    if asked.plot is not None and asked.plot.suffix.lower() not in _KINDS:
        raise ConfigurationError(f"--plot {asked.plot}: expected a name that ends with {' or '.join(_KINDS)}")
    loaded = spec.load(asked.config, overrides=asked.define)
    for warning in loaded.warnings:
        print(f"eas-engine: {warning}", file=sys.stderr)
    given = loaded.spec.autoscaler
    if given is None:
        raise ConfigurationError(f"{asked.config}: it has no autoscaler, so there is nothing to simulate")
    share = loaded.spec.metadata.cpu or float(loaded.machine.cpus)
    settings = AutoscaleSettings.of(given, share)
    trace = traces.read(asked.trace)
    if asked.service_time is not None:
        trace = trace.with_service_time(asked.service_time)
    here = zone(given.timeZone)
    wall = _wall(asked.at, trace, here)
    start = settings.bounded(loaded.spec.start_count if asked.instances is None else asked.instances)
    outcome = simulate(settings, _model(asked, loaded.spec, trace, share), trace, instances=start, wall=wall)
    if asked.plot is not None:
        _draw(asked.plot, f"{loaded.spec.name}: {asked.trace.name}", outcome)
    if as_json:
        from eas_engine.cli.output import print_json

        print_json(as_data(outcome, wall))
    else:
        _show(outcome, wall, here)


def as_data(outcome: Outcome, wall: float) -> dict[str, Any]:
    """Figures, changes and every second, as JSON."""
    return {
        "begins": round(wall, 3),
        "figures": figures(outcome),
        "changes": [
            {"second": second, "before": one.current, "instances": one.wanted, "reason": one.reason}
            for second, one in outcome.changes
        ],
        "seconds": [
            {
                "second": one.second,
                "qps": round(one.arrived, 6),
                "served": round(one.served, 6),
                "lost": round(one.lost, 6),
                "queue": round(one.queue, 6),
                "ready": one.ready,
                "starting": one.starting,
            }
            for one in outcome.steps
        ],
    }


def figures(outcome: Outcome) -> dict[str, float]:
    """What decides between settings."""
    return {
        "requests": round(outcome.requests, 3),
        "served": round(outcome.served, 3),
        "refused_450": round(outcome.refused, 3),
        "limited_429": round(outcome.limited, 3),
        "late_408": round(outcome.late, 3),
        "seconds_over_capacity": outcome.seconds_over_capacity,
        "instance_hours": round(outcome.instance_hours, 4),
        "most_instances": outcome.most_instances,
        "most_waiting": round(outcome.most_waiting, 3),
        "changes": len(outcome.changes),
    }


def _model(asked: Asked, service: spec.ServiceSpec, trace: traces.Trace, cpus: float) -> Model:
    rpc = service.metadata.rpc
    told = next((one.service_time for one in trace.stretches if one.service_time is not None), None)
    if told is None:
        raise ConfigurationError(
            "how long does a call of the processor take? --service-time MS, or a column service_time"
        )
    return Model(
        service_time=told,
        threads=asked.threads or rpc.threads,
        startup=asked.startup,
        queue=rpc.max_queue_size,
        keepalive=rpc.keepalive_ms / 1000,
        rate=rpc.rate_limit,
        cpu_share=asked.cpu_share,
        cpus=cpus,
    )


def _wall(at: str, trace: traces.Trace, here: tzinfo) -> float:
    """When it begins: as asked for, as recorded, or today's midnight, in the autoscaler's time zone."""
    if not at:
        midnight = datetime.now(here).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight.timestamp() if trace.wall is None else trace.wall
    try:
        given = datetime.fromisoformat(at)
    except ValueError:
        raise ConfigurationError(f"--at {at}: expected a time such as 2026-11-11T08:00") from None
    return (given if given.tzinfo else given.replace(tzinfo=here)).timestamp()


def _draw(path: Path, title: str, outcome: Outcome) -> None:
    from eas_engine.cli.autoscale.drawing import page, svg

    text = svg(outcome) if path.suffix.lower() == ".svg" else page(title, outcome, figures(outcome))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--plot {path}: can't be written: {error.strerror}") from None


def _show(outcome: Outcome, wall: float, here: tzinfo) -> None:
    from eas_engine.cli.autoscale.panels import panels
    from eas_engine.cli.output import console, listing, plain, table

    out = console()
    for line, style in panels(outcome, min(out.width, 100)):
        out.print(plain(line, style))
    out.print()
    out.print(table(("", ""), _rows(outcome)))
    if outcome.changes:
        out.print()
        rows = [
            (_time(wall + second, here), f"{one.current} -> {one.wanted}", one.reason)
            for second, one in outcome.changes[:_SHOWN]
        ]
        listing(out, ("at", "instances", "reason"), rows)
    if (more := len(outcome.changes) - _SHOWN) > 0:
        out.print(plain(f"{more} more changes: --json shows them", "dim"))


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    found = figures(outcome)
    requests = found["requests"]
    lost = {
        "refused, 450": found["refused_450"],
        "over the rate, 429": found["limited_429"],
        "too late, 408": found["late_408"],
    }
    return [
        ("requests", f"{requests:,.0f}"),
        *((name, f"{count:,.0f}{_share(count, requests)}") for name, count in lost.items()),
        ("over capacity", f"{found['seconds_over_capacity']:.0f} s"),
        ("instances", f"{found['most_instances']:.0f} at most, {found['instance_hours']:.2f} instance-hours"),
        ("waiting", f"{found['most_waiting']:,.0f} at most"),
    ]


def _share(count: float, of: float) -> str:
    return f" ({count / of:.2%})" if count and of else ""


def _time(at: float, here: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at, here):%Y-%m-%d %H:%M:%S}"
