"""How many instances a change leads to. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eas_engine.operations import RefusedError, Scale

if TYPE_CHECKING:
    from eas_engine.spec import ServiceSpec


def forward(spec: ServiceSpec, current: ServiceSpec, now: int, scaled: Scale | None) -> int:
    """A configuration's own number, or what the autoscaler has come to; what was said meanwhile counts more.

    ``now``: that are wanted; ``scaled``: what an operator has said since the change began.
    """
    if scaled is not None:
        return scaled.instances
    scaler = spec.autoscaler
    if scaler is None:
        return spec.metadata.instance
    asked = now if spec.metadata.instance == current.metadata.instance else spec.metadata.instance
    return max(scaler.min, min(asked, scaler.max))


def back(current: ServiceSpec, numbers: tuple[int, int], now: int, scaled: Scale | None) -> int | None:
    """As many as before what is rolled back; ``numbers`` are those wanted before it, and by it.

    None: as many as now, for the autoscaler, or a stop, has said something else since.

    Without an autoscaler that is what the current version says, also when the number before was that of an
    update that was superseded.
    """
    if scaled is not None:
        return scaled.instances
    if current.autoscaler is None:
        return current.metadata.instance
    before, wanted = numbers
    return before if now == wanted else None


def refuse_out_of_bounds(instances: int, spec: ServiceSpec) -> None:
    """Errors: RefusedError for a number that an operator can't ask for."""
    scaler = spec.autoscaler
    if scaler is not None and not scaler.min <= instances <= scaler.max:
        raise RefusedError(
            f"{instances} instances: the autoscaler's bounds are {scaler.min} to {scaler.max} "
            "(autoscaler.min and autoscaler.max); update them first"
        )
    if scaler is None and instances < 1:
        raise RefusedError(f"{instances} instances: expected at least 1; eas-engine stop ends all of them")
