"""The class a native processor derives from.

Its life: the constructor (once, without arguments), ``initialize`` (once), ``process`` or ``process_batch``
(any number, from several threads at once), ``close`` (once, when nothing runs any more; not after a crash,
nor when ``initialize`` raised).
"""

from __future__ import annotations

from typing import Optional, Sequence, Union

from eas_sdk.batching import Batching
from eas_sdk.request import Request
from eas_sdk.response import Body, Response

Result = Union[Body, Response]
"""What ``process`` may return."""


class Processor:
    """One processor; derive from it and define ``process`` or ``process_batch``.

    The constructor takes no arguments and should be quick; load models in ``initialize``.

    Attributes:
        batching: how the service batches, there from ``initialize`` on; None where it doesn't
            (``rpc.batching`` is off). Set by whoever runs the processor.
    """

    batching: Optional[Batching] = None

    def initialize(self, model_entry: str, model_config: str) -> None:
        """Get ready to serve: load the model, warm up.

        Args:
            model_entry: absolute path of the model's main file, or of its directory with a trailing ``/``;
                ``""`` when the service has no model (``model_path`` and ``model_entry`` of service.json).
            model_config: the text of ``model_config`` of service.json, ``""`` when there is none.

        Whatever it raises ends the start of the instance and is shown with its traceback.
        """

    def process(self, request: Request) -> Result:
        """Answer one request. Called from ``rpc.worker_threads`` threads (5 by default) at the same time.

        Returns:
            ``bytes``, ``bytearray`` or ``memoryview``: sent as they are with status 200. ``str``: the same as
            UTF-8. ``Response``: with a status and header fields of its own.

        Whatever it raises becomes status 400 with the exception's message; the trace goes to the log only.
        Returning anything else (``None`` included) counts as ``TypeError``.
        """
        if type(self).process_batch is Processor.process_batch:
            raise NotImplementedError(f"{type(self).__name__} defines neither process() nor process_batch()")
        return _only(self.process_batch([request]))

    def process_batch(self, requests: Sequence[Request]) -> Sequence[Union[Result, BaseException]]:
        """Answer several requests together (optional; used when ``rpc.batching`` is on).

        Args:
            requests: 1 to ``rpc.max_batch_size`` requests, in the order in which they came.

        Returns:
            One result per request, in the same order: what ``process`` may return, or an exception object,
            which fails that request alone as if ``process`` had raised it.

        Raising fails the request that is to blame, alone: as nobody knows which it is, ``process_batch`` is
        called again with each half of the same requests, with each half of a half that raises, and so on. So
        the same request may be seen several times, in smaller batches, and what a call has done before it
        raised is done again. A result of another type or a list of another length counts as raising
        ``TypeError``.
        """
        return [self.process(request) for request in requests]

    def close(self) -> None:
        """Give back what ``initialize`` took. No call is running and none will come."""


def batches(processor: Processor) -> bool:
    """Whether the processor has a batch call of its own."""
    return type(processor).process_batch is not Processor.process_batch


def answers(processor: Processor) -> bool:
    """Whether the processor defines ``process`` or ``process_batch`` at all."""
    return type(processor).process is not Processor.process or batches(processor)


def _only(results: object) -> Result:
    """The result of a batch of one; raises it when it is an exception."""
    if not isinstance(results, (list, tuple)) or len(results) != 1:
        raise TypeError(f"process_batch() must return a list of 1 result, not {results!r:.80}")
    result: Union[Result, BaseException] = results[0]
    if isinstance(result, BaseException):
        raise result
    return result
