"""The OpenAPI document of the admin API, out of the pages' own declarations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from eas_engine.gateway.api.page import ROOT, Page
from eas_engine.gateway.api.parameters import Parameter
from eas_engine.gateway.api.schemas import SCHEMAS

_ERRORS: Final = {
    400: "The query or the body can't be read.",
    401: "The admin token is missing or wrong.",
    403: "Not for this caller: another site's page, or another workspace.",
    404: "There is no such thing.",
    409: "Not now: something else goes on. Nothing was changed.",
    413: "The body is larger than 1 MiB.",
    422: "It can't be; `problems` has each complaint about a configuration. Nothing was changed.",
    500: "A bug; the log of the engine has more.",
    503: "The engine is ending, or its loop doesn't answer.",
}
_ALWAYS: Final = (400, 401, 403, 500, 503)


def document(pages: Sequence[Page], version: str) -> dict[str, Any]:
    """OpenAPI 3.1. ``version``: of the engine."""
    paths: dict[str, dict[str, Any]] = {}
    for page in pages:
        paths.setdefault(ROOT + page.path, {})[page.method.lower()] = _operation(page)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "eas-engine: the admin API of a service",
            "version": version,
            "description": "On loopback reading is open to whoever is on this machine; on any other address "
            "it wants the admin token, as changing does everywhere.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The text of admin-token in the service's state directory.",
                }
            },
        },
    }


def _operation(page: Page) -> dict[str, Any]:
    summary, _, more = page.about.partition(". ")
    found: dict[str, Any] = {
        "operationId": page.name,
        "summary": summary.rstrip("."),
        "parameters": [*_parts(page), *(_parameter(one) for one in page.query)],
        "responses": {str(status): one for status, one in sorted(_answers(page))},
        "security": [{"admin": []}] if page.changes else [{}, {"admin": []}],
    }
    if more:
        found["description"] = page.about
    if page.body is not None:
        found["requestBody"] = {
            "description": page.body,
            "required": False,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    return found


def _parts(page: Page) -> Iterator[dict[str, Any]]:
    for name, about in page.parts.items():
        schema = {"type": "integer", "minimum": 1} if name == "number" else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _parameter(one: Parameter[Any]) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": "query",
        "required": one.required,
        "description": one.about,
        "schema": dict(one.schema),
        **({"allowEmptyValue": True} if "enum" in one.schema else {}),
    }


def _answers(page: Page) -> Iterator[tuple[int, dict[str, Any]]]:
    for status, content in page.answers.items():
        schema = {"$ref": f"#/components/schemas/{content.schema}"} if content.schema else {"type": "object"}
        by_type = {
            kind: {"schema": {"type": "string"} if kind == "text/plain" else schema} for kind in content.types
        }
        yield status, {"description": content.about, "content": by_type}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status in {*_ALWAYS, *page.errors}:
        yield status, {"description": _ERRORS[status], "content": error}
