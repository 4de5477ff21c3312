"""The JSON Schema of service.json (draft 2020-12), for editors: made from the models.

Every object lists its parameters nested and dotted (``rpc`` and ``rpc.keepalive`` inside ``metadata``,
``metadata.rpc.keepalive`` at the top), the top also those of ``metadata`` without the prefix. Unknown keys
are allowed: reading them only warns. Numbers and booleans may be text, and everything may be empty, which
means "not set".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from eas_engine.spec.cloud_only import NO_EFFECT_HERE
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.parameters import Kind, Parameter, service_parameters

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NOT_SET: Final = {"enum": ["", None]}
_BOOLEAN: Final = {"enum": [True, False, 0, 1, "true", "false", "True", "False", "TRUE", "FALSE", "0", "1"]}
_NUMBER_TEXT: Final = {
    "type": "string",
    "pattern": r"^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$",
}
_SIZE_TEXT: Final = {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)? ?[KMGTkmgt]?[iI]?[Bb]?\s*$"}


def schema() -> dict[str, Any]:
    """The schema as a JSON-able object."""
    parameters = service_parameters().parameters
    properties = _properties(parameters)
    metadata = next(one for one in parameters if one.path == "metadata")
    for key, value in _properties(metadata.children).items():
        properties.setdefault(key, value)
    for name in NO_EFFECT_HERE:
        if name.isalpha():
            properties.setdefault(name, {"description": "Of the cloud; no effect here."})
    return {
        "$schema": DIALECT,
        "title": "service.json of eas-engine",
        "description": "Dotted and nested keys mean the same; unknown keys are allowed and reported.",
        "type": "object",
        "anyOf": [{"required": ["name"]}, {"required": ["metadata"]}, {"required": ["metadata.name"]}],
        "properties": properties,
        "additionalProperties": True,
    }


def _properties(parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """The members of an object: each parameter, and every dotted spelling of what lies below it."""
    return {key: _of(one) for one in parameters for key, one in _spellings(one, ())}


def _spellings(parameter: Parameter, above: tuple[str, ...]) -> Iterator[tuple[str, Parameter]]:
    keys = (*above, parameter.parts[-1])
    yield ".".join(keys), parameter
    if parameter.kind is Kind.SECTION:
        for child in parameter.children:
            yield from _spellings(child, keys)


def _of(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {"description": parameter.info.description or ""}
    if parameter.kind is Kind.SECTION:
        inner: dict[str, Any] = {"type": "object", "properties": _properties(parameter.children)}
        return described | {"anyOf": [inner, _NOT_SET]}
    if parameter.kind is Kind.LIST:
        item = {"type": "object", "properties": _properties(parameter.children)}
        kinds: list[dict[str, Any]] = [{"type": "array", "items": item}, _NOT_SET]
        return described | {"anyOf": [*kinds, {"type": "object"}] if parameter.named_values else kinds}
    default = parameter.info.get_default()
    if isinstance(default, bool | int | float | str) and default != "":
        described["default"] = default
    if "unit" in parameter.extra:
        described["description"] += f" Unit: {parameter.extra['unit']}."
    return described | _leaf(parameter)


def _leaf(parameter: Parameter) -> dict[str, Any]:
    if parameter.path == "model_config":
        return {}
    if parameter.kind is Kind.MAP:
        return {"anyOf": [{"type": "object"}, _NOT_SET]}
    own = _model_schemas()[parameter.path.replace("[]", "")]
    text = _SIZE_TEXT if parameter.extra.get("unit") == "bytes" else _NUMBER_TEXT
    bounds = _bounds(parameter) if text is _NUMBER_TEXT else {}
    return {"anyOf": [*_loosened(own, bounds, text), _NOT_SET]}


def _bounds(parameter: Parameter) -> dict[str, Any]:
    """The parameter's range, which pydantic leaves out of the schema of an optional number."""
    words = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
    found = (
        (word, getattr(one, name, None)) for one in parameter.info.metadata for name, word in words.items()
    )
    return {word: value for word, value in found if value is not None}


def _loosened(own: dict[str, Any], bounds: dict[str, Any], text: dict[str, Any]) -> list[dict[str, Any]]:
    """What pydantic expects, and what is coerced to it."""
    if "anyOf" in own:
        kinds = [kind for kind in own["anyOf"] if kind.get("type") != "null"]
        return [one for kind in kinds for one in _loosened(kind, bounds, text)]
    kept = {key: value for key, value in own.items() if key in _KEYWORDS}
    match own.get("type"):
        case "boolean":
            return [_BOOLEAN]
        case "integer" | "number":
            return [{"type": own["type"]} | bounds, text]
        case "string" if "enum" not in kept:
            return [kept, {"type": "number"}]
        case "array":
            return [{"type": "array"}]
    return [kept]


_KEYWORDS: Final = (
    "type",
    "enum",
    "const",
    "pattern",
    "minLength",
)


@cache
def _model_schemas() -> dict[str, dict[str, Any]]:
    """Pydantic's schema of every leaf, by its path."""
    whole = ServiceSpec.model_json_schema(by_alias=True)
    definitions = whole["$defs"]
    result: dict[str, dict[str, Any]] = {}

    def walk(properties: dict[str, Any], prefix: str) -> None:
        for key, one in properties.items():
            for inner in _references(one):
                walk(definitions[inner].get("properties", {}), f"{prefix}{key}.")
            result[f"{prefix}{key}"] = one

    walk(whole["properties"], "")
    return result


def _references(one: dict[str, Any]) -> Iterator[str]:
    for candidate in (one, one.get("items", {}), *one.get("anyOf", ()), *one.get("allOf", ())):
        if "$ref" in candidate:
            yield candidate["$ref"].rpartition("/")[2]
