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

from eas_sdk import gpu
from eas_sdk.batching import Batching
from eas_sdk.processor import Processor
from eas_sdk.request import Headers, Request
from eas_sdk.response import Body, Response

__all__ = ["Batching", "Body", "Headers", "Processor", "Request", "Response", "is_gpu_trouble"]


def is_gpu_trouble(error: BaseException) -> bool:
    """Whether an exception of a framework says that the GPU failed, or that its memory is full.

    Let such an exception through instead of making an answer of it: the host answers it (500 ``gpu_fault`` or
    ``gpu_out_of_memory``), and replaces this process if the GPU is lost to it.
    """
    said = gpu.trouble(error, cuda=gpu.driver() is not None)
    return said is not None and said.kind != gpu.DOUBT
