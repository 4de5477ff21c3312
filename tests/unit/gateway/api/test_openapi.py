"""The OpenAPI document: it and the running routes say the same, and real answers are as it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from eas_engine.gateway.admin_app import admin_app
from eas_engine.operations import Change, Effect, OperationState, Plan, RefusedError, Version
from support.admin import ask, asking, serving, tell
from support.fleet import EPOCH, Fleet

ROOT = "/api/v1"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    with serving(Fleet()) as port:
        status, document = ask(port, f"{ROOT}/openapi.json")
    assert status == 200
    found: dict[str, Any] = document
    return found


def methods(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def test_it_has_every_route_and_nothing_else(described: dict[str, Any]) -> None:
    routes = {
        (route.path, method)
        for route in admin_app(Fleet(), asked=None, token=None).routes
        if isinstance(route, Route) and route.path.startswith(ROOT)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(path, method) for path, method, _ in methods(described)} == routes


def test_it_is_whole(described: dict[str, Any]) -> None:
    """What OpenAPI 3.1 asks for and a schema can't say."""
    assert described["openapi"].startswith("3.1.")
    assert set(described["info"]) >= {"title", "version"}
    operations = list(methods(described))
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(set(ids)) == len(ids)
    for path, method, operation in operations:
        assert operation["summary"], path
        parameters = [(one["in"], one["name"]) for one in operation["parameters"]]
        assert len(set(parameters)) == len(parameters)
        assert {name for place, name in parameters if place == "path"} == set(re.findall(r"{(\w+)}", path))
        assert all(one["required"] for one in operation["parameters"] if one["in"] == "path")
        assert {"400", "401", "403", "500", "503"} < set(operation["responses"])
        assert all(one["description"] for one in operation["responses"].values())
        changes = method == "POST"
        assert operation["security"] == ([{"admin": []}] if changes else [{}, {"admin": []}])
        assert (("query", "workspace_id") in parameters) == changes
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(described)))
    assert references == set(described["components"]["schemas"])


def test_its_schemas_are_schemas(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object", name
    for _, _, operation in methods(described):
        for one in operation["parameters"]:
            jsonschema.Draft202012Validator.check_schema(one["schema"])


def busy() -> Fleet:
    """A service with one of everything."""
    fleet = Fleet()
    fleet.began(
        kind="update",
        by="anna@build",
        state=OperationState.FAILED,
        effect=Effect.ROLLOUT,
        version=2,
        ended=EPOCH + 1.5,
        reason="no",
        wanted=4,
        updated=1,
        ready=4,
        fetching={"model.tar": (1, None), "app.zip": (5, 10)},
        problems=({"path": "name", "line": 3, "message": "is missing"},),
    )
    fleet.held = [
        Version(number=1, time=EPOCH, source="/s.json", digest="ab" * 32, overrides=("token=Tell-Nobody",)),
        Version(number=2, time=EPOCH, source="/s.json", digest="cd" * 32, state="failed", reason="no"),
    ]
    fleet.planned = Plan(
        effect=Effect.AT_ONCE,
        changes=(Change(path="metadata.rpc.keepalive", before=5000, after=None, effect=Effect.AT_ONCE),),
        notes=("the model is new",),
        warnings=("a warning",),
    )
    fleet.happened("scaled", "from 1 to 4", by="anna@build", before=1, after={"instances": (4, float("nan"))})
    fleet.printed("digits-0", "hello")
    fleet.settings = {"min": 0, "threshold": float("inf")}
    fleet.tried = {"canary": {"requests": 12}}
    return fleet


READING = [
    ("/service", "Service"),
    ("/instances", "Instances"),
    ("/operations", "Operations"),
    ("/operations/1", "Operation"),
    ("/versions", "Versions"),
    ("/versions/1", "VersionWithConfiguration"),
    ("/events", "Events"),
    ("/autoscale", "Autoscale"),
    ("/canary", "Comparison"),
    ("/operations/7", "Error"),
    ("/versions/7", "Error"),
    ("/nothing", "Error"),
    ("/service?x=1", "Error"),
]


def check(described: dict[str, Any], schema: str, value: object) -> None:
    whole = {**described, "$ref": f"#/components/schemas/{schema}"}
    jsonschema.Draft202012Validator(whole).validate(value)


@pytest.mark.parametrize(("page", "schema"), READING)
def test_what_is_read_is_as_it_says(described: dict[str, Any], page: str, schema: str) -> None:
    with serving(busy()) as port:
        status, value = ask(port, ROOT + page)
    assert (status == 200) == (schema != "Error")
    check(described, schema, value)
    assert "Tell-Nobody" not in json.dumps(value)


def test_what_changes_answer_is_as_it_says(described: dict[str, Any]) -> None:
    fleet = busy()
    with serving(fleet) as port:
        check(described, "Plan", tell(port, f"{ROOT}/service?dry_run", b"{}")[1])
        status, operation = tell(port, f"{ROOT}/scale?instances=4")
        assert status == 202
        check(described, "Operation", operation)
        fleet.refusing = RefusedError("no", problems=({"path": "a", "line": None, "message": "b"},))
        status, refusal = tell(port, f"{ROOT}/service", b"{}")
        assert status == 422
        check(described, "Error", refusal)


def test_every_status_that_was_seen_is_described(described: dict[str, Any]) -> None:
    responses = described["paths"][f"{ROOT}/service"]["post"]["responses"]
    assert {"200", "202", "400", "401", "403", "409", "413", "422", "500", "503"} == set(responses)


def test_a_line_of_the_log_is_as_it_says(described: dict[str, Any]) -> None:
    with (
        serving(busy()) as port,
        asking(port, f"{ROOT}/logs", Accept="application/x-ndjson") as response,
    ):
        (line,) = response.read().splitlines()
        assert (
            response.headers["Content-Type"]
            in described["paths"][f"{ROOT}/logs"]["get"]["responses"]["200"]["content"]
        )
    check(described, "LogLine", json.loads(line))
