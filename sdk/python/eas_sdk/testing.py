"""Runs a processor inside a test, without an engine.

For example::

from eas_sdk.testing import run

def test_upper():
    (response,) = run(Upper, [b"hello"])
    assert (response.status, response.body) == (200, b"HELLO")
"""

from __future__ import annotations

from typing import Iterable, List, Type, Union

from eas_sdk.processor import Processor, Result
from eas_sdk.request import Request
from eas_sdk.response import Response, answer


def run(
    processor_class: Type[Processor],
    requests: Iterable[Union[Request, bytes, str]],
    *,
    model_entry: str = "",
    model_config: str = "",
    batch: int = 0,
) -> List[Response]:
    """Makes, initialises, calls and closes a processor; all in the calling thread.

    Args:
        processor_class: the class under test.
        requests: what to send; a body alone stands for ``Request.build(body)``.
        model_entry: handed to ``initialize``.
        model_config: handed to ``initialize``.
        batch: 0 calls ``process`` for each request; a larger number calls ``process_batch`` with at most that
            many at once.

    Returns:
        One response per request, in order.

    Raises:
        Whatever the processor raises (behind an engine: status 400 with the message), and ``TypeError`` for
        results that can't be sent. ``close`` is called all the same once ``initialize`` has returned.
    """
    sent = [request if isinstance(request, Request) else Request.build(request) for request in requests]
    processor = processor_class()
    processor.initialize(model_entry, model_config)
    try:
        if not batch:
            return [_response(processor.process(request)) for request in sent]
        parts = (sent[at : at + batch] for at in range(0, len(sent), batch))
        return [response for part in parts for response in _batch(processor, part)]
    finally:
        processor.close()


def _batch(processor: Processor, requests: List[Request]) -> List[Response]:
    """The responses of one call of ``process_batch``."""
    results: object = processor.process_batch(requests)
    if not isinstance(results, (list, tuple)) or len(results) != len(requests):
        raise TypeError(f"process_batch() must return a list of {len(requests)} results, not {results!r:.80}")
    return [_response(result) for result in results]


def _response(result: Union[Result, BaseException]) -> Response:
    """A result as a response; raises it when it is an exception."""
    if isinstance(result, BaseException):
        raise result
    return result if isinstance(result, Response) else Response(answer(result)[1])
