"""What the network of ``processors/mlp`` says to one row, as ten floats in hexadecimal.

Usage: python -m reference.mlp_answer < ROW
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "processors" / "mlp"))

import mlp

if __name__ == "__main__":
    row = sys.stdin.buffer.read(mlp.ROW)
    print(mlp.answers(mlp.made(), [row])[0].hex())  # noqa: T201 - the starter reads it
