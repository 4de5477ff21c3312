"""What docs/tensors.md shows is what happens."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from urllib.parse import urlsplit

import numpy as np
import pytest

import eas_sdk
from eas_processors.tensors import array_proto
from eas_processors.tensors.model import Signature, Spec
from support.repository import ROOT
from support.tensor_models import NumpyPreset, preset

PAGE = (ROOT / "docs/tensors.md").read_text()
BLOCKS = {
    name: (asked, answered)
    for name, asked, answered in re.findall(
        r"<!-- (\w+) -->\n```\w+\n(.*?)\n```\n(?:```\w*\n(.*?)\n```\n)?", PAGE, re.DOTALL
    )
}
SIGNATURE = Signature(
    "serving_default",
    (Spec("x", "DT_FLOAT", (None, 2)),),
    (Spec("sum", "DT_FLOAT", (None,)),),
    batched=True,
)


@pytest.fixture
def processor() -> NumpyPreset:
    return preset(SIGNATURE, lambda inputs: {"sum": inputs["x"].sum(axis=1)})[0]


def asked(command: str) -> eas_sdk.Request:
    """The request that a curl command sends."""
    words = shlex.split(command.replace("\\\n", ""))
    assert words[0] == "curl"
    url, headers, body = "", {}, ""
    options = iter(words[1:])
    for word in options:
        if word == "-H":
            name, _, value = next(options).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(options)
        else:
            url = word
    parts = urlsplit(url)
    return eas_sdk.Request.build(body, "POST" if body else "GET", parts.path, headers, query=parts.query)


@pytest.mark.parametrize("name", ["signature", "named", "typed", "refused"])
def test_curl(processor: NumpyPreset, name: str) -> None:
    command, answered = BLOCKS[name]
    answer = processor.process(asked(command))
    assert isinstance(answer, eas_sdk.Response)
    assert bytes(answer.body).decode().removesuffix("\n") == answered
    assert answer.status == (400 if name == "refused" else 200)


def test_numpy(processor: NumpyPreset) -> None:
    def post(body: bytes) -> bytes:
        answer = processor.process(eas_sdk.Request.build(body))
        assert isinstance(answer, eas_sdk.Response)
        return bytes(answer.body)

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(BLOCKS["numpy"][0], {"post": post})
    assert printed.getvalue() == f"{np.array([3, 7.5], np.float32)}\n"


def test_every_block_is_run() -> None:
    assert sorted(BLOCKS) == ["named", "numpy", "refused", "signature", "typed"]


def test_the_table_has_every_type_and_its_field() -> None:
    rows = re.findall(r"^\| (.*?) \| `(\w+_val)`", PAGE, re.MULTILINE)
    told = {name: field for types, field in rows for name in re.findall(r"DT_\w+", types)}
    plain = {name: slot for name, slot in array_proto._SLOTS.items() if "_Q" not in name}
    assert told == {name: array_proto._SLOT_NAMES[slot] for name, slot in plain.items()}
