"""The native API of a Python processor.

A processor is one class::

    import eas_sdk

    class Upper(eas_sdk.Processor):
        def process(self, request: eas_sdk.Request) -> bytes:
            return bytes(request.body).upper()

The engine makes one object of it in a process of its own, calls ``initialize`` once and then ``process`` from
``rpc.worker_threads`` threads. ``eas_sdk.testing.run`` does the same inside a test, without an engine.

Standard library only, Python 3.8 to 3.13.
"""

from eas_sdk.batching import Batching
from eas_sdk.processor import Processor
from eas_sdk.request import Headers, Request
from eas_sdk.response import Body, Response

__all__ = ["Batching", "Body", "Headers", "Processor", "Request", "Response"]
