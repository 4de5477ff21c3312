"""What the unit tests of the presets for tensors have in common: a preset made, asked, and its JSON read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

import eas_sdk

_P = TypeVar("_P", bound=eas_sdk.Processor)


def started(
    kind: Callable[[], _P], model: Path | str, config: str = "", *, batching: eas_sdk.Batching | None = None
) -> _P:
    """A preset that has loaded its model."""
    preset = kind()
    preset.batching = batching
    preset.initialize(str(model), config)
    return preset


def asked(
    preset: eas_sdk.Processor, body: bytes | memoryview, content_type: str = "application/octet-stream"
) -> bytes:
    """The body of the answer to one request; raises what the client would read with status 400."""
    return answered(preset.process(eas_sdk.Request.build(body, headers={"Content-Type": content_type})))


def asked_json(preset: eas_sdk.Processor, **value: object) -> Any:
    """The ``outputs`` of the answer to a JSON request."""
    return json.loads(asked(preset, json.dumps(value).encode(), "application/json"))["outputs"]


def described(preset: eas_sdk.Processor) -> Any:
    """What GET says."""
    return json.loads(answered(preset.process(eas_sdk.Request.build(method="GET"))))


def batch(preset: eas_sdk.Processor, bodies: Sequence[bytes]) -> list[bytes | str]:
    """The answers to requests that came together: bodies, or the texts of refusals."""
    results = preset.process_batch([eas_sdk.Request.build(body) for body in bodies])
    return [_text(result) if _refused(result) else answered(result) for result in results]


def refusal(preset: eas_sdk.Processor, body: bytes, content_type: str = "application/octet-stream") -> str:
    """The text of the refusal of a request."""
    (result,) = preset.process_batch([eas_sdk.Request.build(body, headers={"Content-Type": content_type})])
    assert _refused(result), f"not refused: {result!r}"
    return _text(result)


def refusal_json(preset: eas_sdk.Processor, **value: object) -> str:
    """The text of the refusal of a JSON request."""
    return refusal(preset, json.dumps(value).encode(), "application/json")


def answered(result: object) -> bytes:
    """The bytes of an answer with status 200."""
    if isinstance(result, eas_sdk.Response):
        assert result.status == 200, bytes(result.body)
        return bytes(result.body)
    if not isinstance(result, bytes | bytearray | memoryview):
        pytest.fail(f"no answer: {result!r}")
    return bytes(result)


def _refused(result: object) -> bool:
    return isinstance(result, BaseException) or (
        isinstance(result, eas_sdk.Response) and result.status == 400
    )


def _text(result: object) -> str:
    text = bytes(result.body).decode() if isinstance(result, eas_sdk.Response) else str(result)
    return text.removesuffix("\n")
