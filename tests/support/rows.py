"""Requests to presets of rows, and their answers as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import eas_sdk
from eas_sdk.testing import run

Preset = type[eas_sdk.Processor]


def ask(
    preset: Preset, model: Path, *bodies: object, config: object = None, batch: int | eas_sdk.Batching = 0
) -> list[Any]:
    """The answers, parsed; all of them must be 200. Bodies that aren't bytes are sent as JSON."""
    return [
        json.loads(bytes(reply.body)) for reply in replies(preset, model, *bodies, config=config, batch=batch)
    ]


def refusal(preset: Preset, model: Path, body: object, config: object = None) -> str:
    """What a request that must get 400 is told."""
    (reply,) = everything(preset, model, body, config=config)
    assert reply.status == 400
    return bytes(reply.body).decode()


def replies(
    preset: Preset, model: Path, *bodies: object, config: object = None, batch: int | eas_sdk.Batching = 0
) -> list[eas_sdk.Response]:
    """As ``ask``, the responses themselves."""
    found = everything(preset, model, *bodies, config=config, batch=batch)
    assert [reply.status for reply in found] == [200] * len(bodies), [bytes(one.body) for one in found]
    return found


def everything(
    preset: Preset, model: Path, *bodies: object, config: object = None, batch: int | eas_sdk.Batching = 0
) -> list[eas_sdk.Response]:
    """As ``replies``, with failures."""
    sent = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    text = "" if config is None else json.dumps(config)
    return run(preset, sent, model_entry=str(model), model_config=text, batch=batch, failures=True)
