"""The vendor's client for Python, ``eas_prediction``, as a program of its own environment (``make client``).

It wants a protobuf that the frameworks of today refuse, so it can't be imported where the tests run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.client import PATIENCE
from support.engine import Engine

ENVIRONMENT = Path(f"{sys.prefix}-client")
_PROGRAM = Path(__file__).with_name("vendor_client_program.py")


def installed() -> None:
    """Skips the test where the client isn't installed."""
    if not (ENVIRONMENT / ".stamp").exists():
        pytest.skip("the vendor's client isn't installed: `make client`")


def ask(engine: Engine, *calls: dict[str, Any], token: str | None = None) -> list[dict[str, Any]]:
    """What the client makes of the answers to the calls, one after the other.

    Args:
        engine: whose service is asked.
        calls: see below.
        token: None: the service's; ``""``: the client signs nothing.
    """
    told = {
        "endpoint": f"http://127.0.0.1:{engine.port}",
        "service": engine.name,
        "token": engine.token if token is None else token,
        "calls": calls,
    }
    ended = subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), str(_PROGRAM)],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout.splitlines()[-1])
    assert len(found) == len(calls)
    return found


def tensorflow(signature: str, feeds: dict[str, dict[str, Any]], *fetch: str) -> dict[str, Any]:
    """A TFRequest."""
    return {"kind": "tensorflow", "signature": signature, "feeds": feeds, "fetch": fetch}


def torch(
    *feeds: dict[str, Any], fetch: tuple[int, ...] = (), compressed: bool = False, **named: dict[str, Any]
) -> dict[str, Any]:
    """A TorchRequest; inputs in order, or by name."""
    return {"kind": "torch", "feeds": feeds, "named": named, "fetch": fetch, "compressed": compressed}


def string(text: str) -> dict[str, Any]:
    """A StringRequest."""
    return {"kind": "string", "text": text}


def feed(array: np.ndarray, dtype: str) -> dict[str, Any]:
    """An array as an input; ``dtype`` as the client calls it."""
    return {**tensor(array), "dtype": dtype}


def tensor(array: np.ndarray) -> dict[str, Any]:
    """An array as the client gives outputs."""
    values = [v.decode("latin-1") if isinstance(v, bytes) else v for v in array.reshape(-1).tolist()]
    return {"shape": list(array.shape), "values": values}
