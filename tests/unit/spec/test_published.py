"""What is made from the models for people and editors: the page and the JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eas_engine.spec.document import document, main
from eas_engine.spec.parameters import settable
from eas_engine.spec.schema import DIALECT, schema
from support.services import PYTHON, REFERENCE

PAGE = Path(__file__).parents[3] / "docs" / "parameters.md"


def test_the_page_in_the_repository_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), (
        "python -m eas_engine.spec.document docs/parameters.md"
    )


def test_every_parameter_is_on_the_page(tmp_path: Path) -> None:
    assert main([str(tmp_path / "page.md")]) == 0
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert [one.path for one in settable() if f"| `{one.path}` |" not in text] == []


def valid(content: object) -> bool:
    jsonschema = pytest.importorskip("jsonschema")
    return bool(jsonschema.Draft202012Validator(schema()).is_valid(content))


def test_the_schema_is_valid_draft_2020_12() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == DIALECT


def test_the_schema_takes_the_reference_example() -> None:
    assert valid(json.loads(REFERENCE.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({"metadata": {"rpc.keepalive": 1}}, True),
        ({"metadata": {"rpc": {"keepalive": "1"}}}, True),
        ({"metadata.rpc.keepalive": 1}, True),
        ({"rpc": {"keepalive": 0}}, False),
        ({"rpc.keepalive": "x"}, False),
        ({"metadata.rpc.keepalive": ""}, True),
        ({"unknown": {"a": 1}}, True),
        ({"metadata": {"rpc": {"enable_sigterm": "yes"}}}, False),
        ({"processor_type": "ruby"}, False),
        ({"labels": {"a.b": 1}}, True),
        ({"labels": 1}, False),
        ({"metadata.rpc.max_body_size": "64Mi"}, True),
        ({"storage": {}}, False),
        ({"storage": [{"mount_path": "x"}]}, False),
    ],
)
def test_the_schema_reads_as_the_engine_does(member: dict[str, Any], expected: bool) -> None:
    assert valid({**PYTHON, **member}) is expected


def test_every_parameter_is_described_in_the_schema() -> None:
    properties = schema()["properties"]
    for one in settable():
        if "[]" not in one.path:
            assert properties[one.path]["description"], one.path
            assert properties[one.key]["description"], one.key
