"""PyTorch models: TorchScript and ``torch.export``.

The file is looked at before it is loaded: pickles are refused (archive.py). A model is called in inference
mode, in evaluation mode, unchanged otherwise (not frozen, not fused), so that its results are those of a
direct call.

What the formats of requests and answers can't say is widened, in all of them alike: half and bfloat16 are
float, bool is uint8. An ``output_filter`` counts outputs as the model does, and the answer holds those
outputs in the order of the filter.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eas_processors import gpu_memory, threads
from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.pytorch import precision, runtime, values
from eas_processors.pytorch.archive import Kind, NotServed, kind, without_pickle
from eas_processors.pytorch.cards import Card
from eas_processors.pytorch.export import Exported
from eas_processors.pytorch.places import Place, Processor
from eas_processors.pytorch.runtime import Cuda, Runtime
from eas_processors.pytorch.script import Script
from eas_processors.tensors import json_body
from eas_processors.tensors.base import Result, TensorPreset
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Form, Model
from eas_processors.tensors.runner import Work
from eas_processors.tensors.wire_pytorch import PYTORCH

_LOG = logging.getLogger(__name__)

KEYS = {
    "batched": Key(bool),
    "compile": Key(bool),
    "cuda_graphs": Key(bool),
    "dtype": Key(str, one_of=precision.DTYPES),
    **threads.KEYS,
}

_LONG = re.compile(r"\blong\b", re.IGNORECASE)
"""torch's name of int64 in complaints about types."""
_HINT = "whole numbers in JSON are int64: write 1.0, or give the dtype"


class Preset(TensorPreset):
    """Serves one PyTorch model.

    Keys of ``model_config``: ``batched`` (whether requests may be joined; by default whenever the model
    allows it), ``dtype`` (the floating type to compute in), ``compile``, ``cuda_graphs``,
    ``intra_op_threads`` (threads of one call, 1), ``inter_op_threads``.

    Attributes:
        place: where the model runs.
    """

    place: Place

    protocol = PYTORCH

    def load(self, model_entry: str, model_config: str) -> Model:
        """Load the model.

        Raises:
            ValueError: there is no model, or (``NotServed``) it is of another format or can't be loaded.
        """
        config = read_config(model_config, KEYS)
        path = model_file(model_entry, (".pt", ".pt2"), "a model of PyTorch")
        # Whether an array may be written to is our business (values.py).
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        torch.set_num_threads(threads.threads(config))
        if "inter_op_threads" in config:
            torch.set_num_interop_threads(threads.threads(config, "inter_op_threads"))
        self.place = self._place(graphs=config.get("cuda_graphs", False))
        model = self._loaded(path, config)
        if isinstance(self.place, Card):
            self.place.settle()
        if isinstance(model, Script) and model.numbers and config.get("cuda_graphs"):
            raise NotServed(f"{path.name}: cuda_graphs: it takes numbers, which a graph would have for ever")
        if self.batching is not None and "batched" not in config and not model.signature("").batched:
            _LOG.warning("requests are not joined: %s %s", path.name, model.alone)
        return model

    def _answer(self, work: Work) -> Result | Exception:
        answer = super()._answer(work)
        if isinstance(answer, BadRequest) and _LONG.search(str(answer)) and _guessed_int64(work):
            return BadRequest(f"{answer} ({_HINT})")
        return answer

    def arena(self, view: memoryview, fixed: int) -> None:
        """The first ``fixed`` bytes of ``view``, where large bodies lie, are always the same memory."""
        if isinstance(self.place, Card):
            self.place.arena.adopt(view, fixed)

    def close(self) -> None:
        """The card reads no memory of ours any more."""
        if isinstance(self.place, Card):
            self.place.arena.close()

    def _card(self) -> Runtime | None:
        """The card, if there is one; no more of it is taken than our share."""
        if not torch.cuda.is_available():
            return None
        gpu_memory.cap_torch(torch.cuda, gpu_memory.cap())
        return Cuda()

    def _place(self, *, graphs: bool) -> Place:
        """Where the model runs."""
        sizes = self.batching.sizes if graphs and self.batching is not None else ()
        if graphs and not sizes:
            raise ValueError('model_config: "cuda_graphs" needs rpc.batch_sizes: graphs are made for these')
        card = self._card() if self.device == "gpu" else None
        if card is not None:
            return Card(card, sizes)
        if self.device == "gpu":
            why = runtime.why_none()
            _LOG.warning("PyTorch %s sees no GPU: the model runs on the CPU (%s)", torch.__version__, why)
        if graphs:
            _LOG.warning("cuda_graphs has no effect: the model runs on the CPU")
        return Processor()

    def _loaded(self, path: Path, config: Mapping[str, Any]) -> Script | Exported:
        """The model in a file."""
        batched, wanted = config.get("batched"), precision.wanted(config.get("dtype"))
        rows = 1 if self.batching is None else max(self.batching.max_batch_size, *self.batching.sizes, 1)
        try:
            if kind(path) is Kind.SCRIPT:
                return Script(
                    path, self.place, batched=batched, precision=wanted, compiled=config.get("compile", False)
                )
            with without_pickle():
                return Exported(
                    path,
                    self.place,
                    batched=batched,
                    rows=rows,
                    precision=wanted,
                    compiled=config.get("compile", False),
                )
        except NotServed as error:
            raise NotServed(f"{path.name}: {error}") from None
        except Exception as error:
            raise NotServed(f"{path.name} can't be loaded: {values.reason(error)}") from error


def _guessed_int64(work: Work) -> bool:
    """Whether an input is int64 only because it was whole numbers in JSON, whose type nobody has said."""
    if work.call.form is not Form.JSON:
        return False
    inputs = work.call.inputs
    sent = json_body.parse(memoryview(work.request.body))["inputs"]
    keys: Iterable[Any] = inputs if isinstance(inputs, dict) else range(len(inputs))
    return any(inputs[key].dtype == np.int64 and not isinstance(sent[key], dict) for key in keys)
