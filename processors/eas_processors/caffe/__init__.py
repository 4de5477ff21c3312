"""Caffe models: a prototxt and a caffemodel, run by OpenCV's DNN module on floats.

A net of OpenCV can't be called by two threads at once, and a second one holds the weights a second time. So
there is one by default, calls of the service's worker threads take turns, and a call uses all processors;
``"nets"`` in ``model_config`` makes more, for that many times the memory.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import cv2

from eas_processors import threads
from eas_processors.caffe import prototxt
from eas_processors.caffe.net import Nets
from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.tensors.base import TensorPreset
from eas_processors.tensors.model import Model, Signature
from eas_processors.tensors.wire_caffe import CAFFE

_LOG = logging.getLogger(__name__)

KEYS = {
    "batched": Key(bool),
    "nets": Key(int, least=1),
    "prototxt": Key(str),
    "caffemodel": Key(str),
    **threads.INTRA,
}


class Preset(TensorPreset):
    """Serves one Caffe model.

    Keys of ``model_config``: ``prototxt`` and ``caffemodel`` (names of the files in the model's directory, if
    there are several), ``batched`` (whether requests may be joined; by default when a trial call at the start
    keeps the first dimension), ``nets`` (how many calls may run at once, 1), ``intra_op_threads`` (threads of
    all calls together, as many as there are processors).
    """

    protocol = CAFFE
    model: Nets

    def load(self, model_entry: str, model_config: str) -> Model:
        """Load the model.

        Raises:
            ValueError: a file is missing, or OpenCV can't load or run the net.
        """
        config = read_config(model_config, KEYS)
        description, weights = _files(model_entry, config.get("prototxt", ""), config.get("caffemodel", ""))
        cv2.setNumThreads(threads.threads(config, default=len(os.sched_getaffinity(0))))
        count = threads.threads(config, "nets")
        nets = Nets(description, weights, count, gpu=self._gpu(), batched=config.get("batched"))
        if self.batching is not None and "batched" not in config and not nets.signature("").batched:
            _LOG.warning("requests are not joined: dimension 0 of %s is no batch", description.name)
        # What a client did wrong is the client's to read.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_FATAL)
        return nets

    def describe(self, signature: Signature) -> dict[str, object]:
        """The inputs, and the outputs of an empty filter; a filter may name any blob."""
        outputs = [{"name": name, "shape": shape, "type": "DT_FLOAT"} for name, shape in self.model.outputs()]
        return {**super().describe(signature), "outputs": outputs}

    def _gpu(self) -> bool:
        """Whether to run on a GPU."""
        if self.device != "gpu":
            return False
        if cv2.cuda.getCudaEnabledDeviceCount():
            return True
        _LOG.warning(
            "OpenCV %s was built without CUDA or sees no GPU: the model runs on the CPU", cv2.__version__
        )
        return False


def _files(model_entry: str, description: str, weights: str) -> tuple[Path, Path]:
    """The prototxt and the caffemodel."""
    entry = Path(model_entry) if model_entry else Path()
    directory = f"{entry.parent}/" if entry.is_file() else model_entry
    if entry.is_file() and entry.suffix == ".caffemodel":
        weights = weights or entry.name
    elif entry.is_file():
        description = description or entry.name
    return (
        model_file(directory + description, (".prototxt",), "a description of a Caffe net"),
        model_file(directory + weights, (".caffemodel",), "the weights of a Caffe net"),
    )


__all__ = ["Preset", "prototxt"]
