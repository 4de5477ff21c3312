"""Processors written in Python: native ones (``eas_sdk``) and existing ones (``allspark``).

``handle`` runs for every request: it is, or calls, a closure over bound methods, does the common case
(``bytes``, success) in two comparisons and leaves everything else to ``answer``.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Tuple

import allspark
import eas_sdk
from allspark import answer as allspark_answer
from allspark.processor import ENDPOINT, properties_of, settings_of
from eas_host.adapters import Handle, OfBody
from eas_host.load import Failed
from eas_sdk import _batches
from eas_sdk import processor as native_processor
from eas_sdk import response as native_response

DEFAULT_THREADS = 5
KEEPALIVE = "rpc.keepalive"


class Native:
    """An ``eas_sdk.Processor``."""

    kind = "native"
    processes = 1

    def __init__(self, processor: eas_sdk.Processor, start: Dict[str, Any]) -> None:
        if not native_processor.answers(processor):
            name = type(processor).__name__
            raise Failed("construct", f"class {name} defines neither process() nor process_batch()")
        self._processor = processor
        self._model: Tuple[str, str] = (start["model_entry"], start["model_config"])
        self.threads: int = start["threads"] or DEFAULT_THREADS
        self.batch = native_processor.batches(processor)
        batching = start.get("batching")
        if batching:
            processor.batching = eas_sdk.Batching(**batching)
        self.warnings: List[str] = []

    def properties(self) -> Dict[str, str]:
        """None: a native processor has no settings of its own."""
        return {}

    def rebatch(self, batching: Dict[str, Any]) -> None:
        """Tells the processor's next batch that the settings of batching have changed."""
        if self._processor.batching is not None:
            self._processor.batching.change(**batching)

    def watch(self, raised: Callable[[BaseException, int], None]) -> None:
        """Whom to tell what the processor repeats by itself."""
        if self._processor.batching is not None:
            self._processor.batching.watch(raised)

    def initialize(self) -> None:
        """Calls the processor's ``initialize``."""
        self._processor.initialize(*self._model)

    def handle(self) -> Handle:
        """The call of ``process``."""
        process, answer = self._processor.process, native_response.answer

        def handle(request: eas_sdk.Request) -> native_response.Answer:
            result = process(request)
            if type(result) is bytes:
                return 200, result, b""
            return answer(result)

        return handle

    def handle_batch(self) -> _batches.Call:
        """The call of ``process_batch``."""
        return _batches.batch_call(self._processor)

    def close(self) -> None:
        """Calls the processor's ``close``."""
        self._processor.close()


class Allspark:
    """An ``allspark.BaseProcessor``."""

    kind = "allspark"
    batch = False

    def __init__(self, processor: allspark.BaseProcessor, start: Dict[str, Any]) -> None:
        settings = settings_of(processor)
        if type(processor).process is allspark.BaseProcessor.process and "process" not in vars(processor):
            raise Failed("construct", f"class {type(processor).__name__} has no process()")
        self._processor = processor
        self.threads: int = start["threads"] or int(settings.worker_threads)
        self.processes = settings.worker_processes
        self.warnings: List[str] = []
        given = settings.worker_threads
        if settings.threads_given and self.threads != given:
            self._warn(f"worker_threads: {self.threads} of service.json replaces {given} of the constructor")
        wanted, set_there = self.properties().get(KEEPALIVE), start["keepalive_ms"]
        if wanted is not None and set_there is not None and wanted != str(set_there):
            self._warn(f"{KEEPALIVE}: {set_there} of service.json replaces {wanted} of the script")
        if settings.endpoint is not None and settings.endpoint != os.environ.get(ENDPOINT):
            self._warn(
                f"endpoint {settings.endpoint!r} has no effect behind the engine, which listens itself"
            )
        for name in settings.unknown:
            self._warn(f"BaseProcessor has no argument {name!r}; it was ignored")

    def _warn(self, text: str) -> None:
        self.warnings.append(text)

    def properties(self) -> Dict[str, str]:
        """What the script has put into ``default_properties()``, and the constructor's ``io_threads``."""
        return properties_of(self._processor)

    def initialize(self) -> None:
        """Calls the processor's ``initialize``."""
        self._processor.initialize()

    def handle(self) -> Handle:
        """The call of ``process``, whose ``data`` is real ``bytes`` whatever the request's body is."""
        process, answer = self._processor.process, allspark_answer.answer

        def call(body: bytes) -> native_response.Answer:
            result = process(body)
            if type(result) is tuple and len(result) == 2:
                content, status = result
                if type(content) is bytes and type(status) is int and status in {200, 0}:
                    return 200, content, b""
            return answer(result)

        return OfBody(call)

    def handle_batch(self) -> _batches.Call:
        """Never asked for: ``batch`` is false."""
        raise NotImplementedError("allspark has no batch call")

    def close(self) -> None:
        """Nothing: what follows ``run()`` in the script is its end."""
