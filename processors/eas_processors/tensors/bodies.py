"""Requests to calls and outputs to answers, in whatever form the client chose.

The form is what ``Content-Type`` says (``application/json``, ``application/x-npy``, ``application/x-npz``),
or what the first bytes say of .npy and .npz; anything else is the family's protobuf.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

import eas_sdk
from eas_processors.tensors import json_body, numpy_body
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call, Form, Model, OutputFilter, ResolvingModel, Signature
from eas_processors.tensors.protocol import Protocol

Resolve = Callable[[Call], Signature]
"""The signature of a call; of a JSON body the inputs are empty arrays still."""

_CONTENT_TYPES = {json_body.CONTENT_TYPE: Form.JSON} | {
    name: form for form, name in numpy_body.CONTENT_TYPES.items()
}


def form_of(request: eas_sdk.Request) -> Form:
    """The form of a request's body."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in _CONTENT_TYPES:
        return _CONTENT_TYPES[content_type]
    for form, magic in numpy_body.MAGIC.items():
        if request.body[: len(magic)] == magic:
            return form
    return Form.PROTOBUF


def resolver(model: Model) -> Resolve:
    """How to find the signature of a call: a model that has none of its own makes one for each call."""
    if isinstance(model, ResolvingModel):
        return model.resolve
    return lambda call: model.signature(call.signature_name)


def decode(request: eas_sdk.Request, protocol: Protocol, resolve: Resolve) -> tuple[Call, Signature]:
    """The call of a request and its signature; raises ``BadRequest``."""
    form, body = form_of(request), memoryview(request.body)
    if form is Form.JSON:
        value = json_body.parse(body)
        call = json_body.outline(value)
        signature = resolve(call)
        return json_body.decode(value, call, signature), signature
    if form is Form.PROTOBUF:
        call = _decode_protobuf(body, protocol)
    else:
        name, wanted = asked(request)
        call = Call(name, numpy_body.decode(body, form), wanted, _debug_level(request), form)
    return call, resolve(call)


def _decode_protobuf(body: memoryview, protocol: Protocol) -> Call:
    try:
        return protocol.decode(body)
    except BadRequest as error:
        hint = "; JSON needs the header Content-Type: application/json" if bytes(body[:1]) == b"{" else ""
        raise BadRequest(f"{protocol.name} request: {error}{hint}") from None


def asked(request: eas_sdk.Request) -> tuple[str, OutputFilter]:
    """What the query asks for: ``signature_name`` and ``output_filter`` (names or positions, by commas)."""
    query = dict(parse_qsl(request.query))
    wanted = [part for part in query.get("output_filter", "").split(",") if part]
    return query.get("signature_name", ""), tuple(int(part) if part.isdecimal() else part for part in wanted)


def _debug_level(request: eas_sdk.Request) -> int:
    """The query's ``debug_level``; 0 unless it is a number."""
    level = dict(parse_qsl(request.query)).get("debug_level", "")
    return int(level[:9]) if level.isdecimal() else 0


def encode(outputs: Arrays, form: Form, protocol: Protocol) -> eas_sdk.Response | bytes:
    """The answer; raises ``BadRequest`` for outputs that the form can't hold."""
    if form is Form.JSON:
        return eas_sdk.Response(json_body.encode(outputs), 200, {"Content-Type": json_body.CONTENT_TYPE})
    if form is Form.PROTOBUF:
        return protocol.encode(outputs)
    body, form = numpy_body.encode(outputs, form)
    return eas_sdk.Response(body, 200, {"Content-Type": numpy_body.CONTENT_TYPES[form]})
