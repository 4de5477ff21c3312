"""Writes the model of a scenario. Usage: python -m eas_bench.gpu.export G1 FILE.pt2."""

from __future__ import annotations

import sys

import numpy as np
import torch

from eas_bench.gpu import networks, scenarios


def main(name: str, file: str) -> None:
    """Make it and export it, on the processor."""
    array = scenarios.arrays(scenarios.SCENARIOS[name])[0]
    example = torch.from_numpy(np.concatenate([array[:1], array[:1]]))
    longest = 512 if scenarios.SCENARIOS[name].padding else 0
    torch.export.save(networks.exported(networks.made(name), example, longest=longest), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
