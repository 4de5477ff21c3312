"""What libraries read of the number of CPUs: their default of threads would be that of the whole machine."""

from __future__ import annotations

import math
from typing import Final

CPUS: Final = "EAS_CPUS"
"""``metadata.cpu`` as it is, perhaps a fraction."""

THREADS: Final = (
    "OMP_NUM_THREADS",  # OpenMP: torch, scikit-learn, XGBoost, LightGBM ...; and our presets
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",  # numpy, scipy
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Read when a library is loaded. ONNX Runtime reads none: our preset takes OMP_NUM_THREADS for it."""


def threads(cpu: float) -> int:
    """Threads that can run at the same time on so many CPUs."""
    return max(1, math.ceil(cpu))


def variables(cpu: float | None) -> dict[str, str]:
    """The environment for ``cpu`` CPUs; empty without a limit."""
    if cpu is None:
        return {}
    return {CPUS: f"{cpu:g}", **dict.fromkeys(THREADS, str(threads(cpu)))}
