"""Runs a processor inside a test, without an engine.

For example::

from eas_sdk.testing import run

def test_upper():
    (response,) = run(Upper, [b"hello"])
    assert (response.status, response.body) == (200, b"HELLO")
"""

from __future__ import annotations

from typing import Iterable, List, Type, Union

from eas_sdk._batches import answer_all, batch_call
from eas_sdk.batching import Batching
from eas_sdk.processor import Processor
from eas_sdk.request import Request
from eas_sdk.response import Answer, Response, answer


def run(
    processor_class: Type[Processor],
    requests: Iterable[Union[Request, bytes, str]],
    *,
    model_entry: str = "",
    model_config: str = "",
    batch: Union[int, Batching] = 0,
    failures: bool = False,
) -> List[Response]:
    """Makes, initialises, calls and closes a processor; all in the calling thread.

    Args:
        processor_class: the class under test.
        requests: what to send; a body alone stands for ``Request.build(body)``.
        model_entry: handed to ``initialize``.
        model_config: handed to ``initialize``.
        batch: 0 calls ``process`` for each request. A larger number, or a ``Batching`` (whose
            ``max_batch_size`` then counts), does what ``rpc.batching`` does behind an engine: ``batching`` is
            set, ``process_batch`` gets at most that many requests at once, and if it raises, the batch is
            halved until the request to blame stands alone.
        failures: True: a request's failure is its response, status 400 with the exception's message, as
            behind an engine. False: the first of them is raised, once all requests of its batch have been
            answered.

    Returns:
        One response per request, in order.

    Raises:
        Whatever the processor raises, and ``TypeError`` for results that can't be sent, unless ``failures``;
        ``close`` is called all the same once ``initialize`` has returned.
    """
    sent = [request if isinstance(request, Request) else Request.build(request) for request in requests]
    processor = processor_class()
    batching = Batching(batch) if isinstance(batch, int) else batch
    size = batching.max_batch_size
    if size:
        processor.batching = batching
    processor.initialize(model_entry, model_config)
    try:
        if size:
            parts = (sent[at : at + size] for at in range(0, len(sent), size))
            return [each for part in parts for each in _batch(processor, part, failures=failures)]
        return [_single(processor, request, failures=failures) for request in sent]
    finally:
        processor.close()


def _single(processor: Processor, request: Request, *, failures: bool) -> Response:
    """The response of one call of ``process``."""
    try:
        return _response(answer(processor.process(request)))
    except Exception as error:  # noqa: BLE001 - whatever a processor raises is its answer
        return _failure(error, failures=failures)


def _batch(processor: Processor, requests: List[Request], *, failures: bool) -> List[Response]:
    """The responses of one batch."""
    outcomes, _ = answer_all(batch_call(processor), requests)
    return [
        _failure(outcome, failures=failures) if isinstance(outcome, BaseException) else _response(outcome)
        for outcome in outcomes
    ]


def _response(sent: Answer) -> Response:
    """What would be sent, as a response."""
    status, body, lines = sent
    pairs = (line.partition(": ") for line in lines.decode("latin-1").split("\r\n")[:-1])
    return Response(body, status, [(name, value) for name, _, value in pairs])


def _failure(error: BaseException, *, failures: bool) -> Response:
    """The response of a request that failed; raises instead without ``failures``."""
    if not failures:
        raise error
    return Response(str(error) or type(error).__name__, 400)
