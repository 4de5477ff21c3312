"""Asks a service with the vendor's client; runs in the client's own environment (see ``vendor_client.py``).

One JSON object on stdin: the service and the calls. One JSON list on stdout: what the client made of each
answer, or the status and the text of the exception that it raised. Strings of tensors are Latin-1 in both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import eas_prediction as eas  # type: ignore[import-not-found]

Json = dict[str, Any]


def main() -> None:
    """Makes all calls with one client."""
    told: Json = json.load(sys.stdin)
    client = eas.PredictClient(told["endpoint"], told["service"])
    if told["token"]:
        client.set_token(told["token"])
    client.set_timeout(60_000)
    client.init()
    json.dump([_made(client, call) for call in told["calls"]], sys.stdout)


def _made(client: Any, call: Json) -> Json:
    """One call."""
    request, read = _KINDS[call["kind"]](call)
    try:
        return read(client.predict(request))
    except eas.PredictException as error:
        text = error.message.decode() if isinstance(error.message, bytes) else str(error.message)
        return {"status": error.code, "text": text}


def _tensorflow(call: Json) -> tuple[Any, Callable[[Any], Json]]:
    request = eas.TFRequest(call["signature"])
    for name, feed in call["feeds"].items():
        request.add_feed(name, feed["shape"], getattr(request, feed["dtype"]), _sent(feed))
    for name in call["fetch"]:
        request.add_fetch(name)

    def read(answer: Any) -> Json:
        names = list(answer.response.outputs)
        return {
            name: {"shape": answer.get_tensor_shape(name), "values": _received(answer.get_values(name))}
            for name in names
        }

    return request, read


def _torch(call: Json) -> tuple[Any, Callable[[Any], Json]]:
    request = eas.TorchRequest(call["compressed"])
    for index, feed in enumerate(call["feeds"]):
        request.add_feed(index, feed["shape"], getattr(request, feed["dtype"]), _sent(feed))
    for name, feed in call["named"].items():
        request.add_feed_map(name, feed["shape"], getattr(request, feed["dtype"]), _sent(feed))
    for index in call["fetch"]:
        request.add_fetch(index)

    def read(answer: Any) -> Json:
        count = len(answer.response.outputs)
        outputs = [(answer.get_tensor_shape(i), answer.get_values(i)) for i in range(count)]
        return {"outputs": [{"shape": shape, "values": _received(values)} for shape, values in outputs]}

    return request, read


def _string(call: Json) -> tuple[Any, Callable[[Any], Json]]:
    return eas.StringRequest(call["text"]), lambda answer: {"text": answer.response_data.decode()}


def _sent(feed: Json) -> list[Any]:
    """The values of a feed; ``bytes`` for strings."""
    values: list[Any] = feed["values"]
    return [value.encode("latin-1") for value in values] if feed["dtype"] == "DT_STRING" else values


def _received(values: Any) -> list[Any] | None:
    """The values of an output; None: the client doesn't know the type."""
    if values is None:
        return None
    return [value.decode("latin-1") if isinstance(value, bytes) else value for value in values]


_KINDS = {"tensorflow": _tensorflow, "torch": _torch, "string": _string}

if __name__ == "__main__":
    main()
