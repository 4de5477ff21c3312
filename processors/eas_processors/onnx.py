"""ONNX models, served by ONNX Runtime.

Types that the protocol lacks: bool is uint8, in requests and in answers. A list of maps, which converters of
classifiers make of probabilities, is a matrix whose columns are in the order of the maps' keys. Outputs of
other types that no answer can hold are left out, and the log says so at the start.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from eas_processors import gpu_memory, threads
from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.tensors.base import TensorPreset
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Model, OutputFilter, Signature, Spec
from eas_processors.tensors.wire_onnx import ONNX

_LOG = logging.getLogger(__name__)

KEYS = {"batched": Key(bool), **threads.KEYS}

_DTYPES = {
    "float": "DT_FLOAT",
    "double": "DT_DOUBLE",
    "float16": "DT_HALF",
    "int8": "DT_INT8",
    "int16": "DT_INT16",
    "int32": "DT_INT32",
    "int64": "DT_INT64",
    "uint8": "DT_UINT8",
    "uint16": "DT_UINT16",
    "uint32": "DT_UINT32",
    "uint64": "DT_UINT64",
    "bool": "DT_UINT8",
    "string": "DT_STRING",
}
"""What clients send and get for the element types of ONNX."""

_MAPS = re.compile(r"seq\(map\((int64|string),tensor\(float\)\)\)")
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_NODE = re.compile(r"^Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ")
_PLACE = re.compile(r"^/\S+:\d+ [^()]*\([^()]*\)(?: const)? ?")
_LONGEST = 400


class Preset(TensorPreset):
    """Serves one ONNX model.

    Keys of ``model_config``: ``batched`` (whether requests may be joined; by default when the first dimension
    of all inputs and outputs is an unknown one), ``intra_op_threads`` (threads of one call, 1),
    ``inter_op_threads``.
    """

    protocol = ONNX

    def load(self, model_entry: str, model_config: str) -> Model:
        """Load the model.

        Raises:
            ValueError: there is no model, or ONNX Runtime can't load it.
        """
        config = read_config(model_config, KEYS)
        path = model_file(model_entry, (".onnx", ".ort"), "an ONNX model")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads.threads(config)
        options.inter_op_num_threads = threads.threads(config, "inter_op_threads")
        if options.inter_op_num_threads > 1:
            options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        try:
            session = onnxruntime.InferenceSession(path, options, providers=self._providers())
        except Exception as error:
            raise ValueError(f"{path.name} can't be loaded: {reason(error)}") from error
        if self.device == "gpu" and "CUDAExecutionProvider" not in session.get_providers():
            _LOG.warning("ONNX Runtime %s runs the model on the CPU", onnxruntime.__version__)
        model = Session(session, path, batched=config.get("batched"))
        if self.batching is not None and "batched" not in config and not model.signature("").batched:
            _LOG.warning("requests are not joined: dimension 0 of %s is no batch", path.name)
        return model

    def _providers(self) -> list[str | tuple[str, dict[str, str]]]:
        """Where to run, best first, with options."""
        if self.device == "gpu":
            if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
                options = gpu_memory.onnx_options(gpu_memory.cap())
                return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]
            _LOG.warning("this ONNX Runtime has no CUDA: install onnxruntime-gpu instead of onnxruntime")
        return ["CPUExecutionProvider"]


class Session:
    """A loaded model.

    Args:
        session: ONNX Runtime's; safe to call from several threads.
        path: the model's file, for messages.
        batched: whether requests may be joined; None: see ``Preset``.

    Raises:
        ValueError: it takes something other than tensors, or gives nothing that can be answered.
    """

    def __init__(self, session: Any, path: Path, *, batched: bool | None) -> None:
        self._session = session
        self._quiet = onnxruntime.RunOptions()
        self._quiet.log_severity_level = 4  # what a client did wrong is the client's to read
        inputs = {value.name: value for value in session.get_inputs()}
        strange = [f"{name} ({value.type})" for name, value in inputs.items() if _dtype(value.type) is None]
        if strange:
            raise ValueError(f"{path.name}: requests have tensors only, and can't give {', '.join(strange)}")
        self._bools = frozenset(name for name, value in inputs.items() if value.type == "tensor(bool)")
        every = session.get_outputs()
        outputs = [value for value in every if _dtype(value.type) is not None]
        if not outputs:
            types = ", ".join(f"{value.name} ({value.type})" for value in every)
            raise ValueError(f"{path.name}: no answer can hold any of its outputs: {types}")
        for value in every:
            if value not in outputs:
                _LOG.warning(
                    "%s: output %s is left out: answers can't hold %s", path.name, value.name, value.type
                )
        self._signature = Signature(
            "serving_default",
            tuple(_spec(value) for value in inputs.values()),
            tuple(_spec(value) for value in outputs),
            _batched([*inputs.values()], outputs) if batched is None else batched,
        )
        self._names = [value.name for value in outputs]

    def signature(self, name: str) -> Signature:
        """The only one."""
        if name not in {"", self._signature.name}:
            raise BadRequest(f"unknown signature {name!r}; ONNX models have one: {self._signature.name!r}")
        return self._signature

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """Compute the outputs wanted."""
        if not isinstance(inputs, dict):
            raise TypeError("the inputs of an ONNX model have names")
        feed = {name: self._fed(name, array) for name, array in inputs.items()}
        wanted = [self._names[which] if isinstance(which, int) else which for which in output_filter]
        names = list(dict.fromkeys(wanted)) or self._names
        try:
            results = self._session.run(names, feed, self._quiet)
        except Exception as error:
            raise BadRequest(reason(error)) from error
        return {name: _array(result) for name, result in zip(names, results, strict=True)}

    def _fed(self, name: str, array: np.ndarray) -> np.ndarray:
        """An input as ONNX Runtime wants it; it reads the memory in place."""
        if array.dtype == object:
            return _texts(name, array)
        if name in self._bools:
            return array.astype(np.bool_)
        return np.require(array, requirements=["A", "C"])


def _texts(name: str, array: np.ndarray) -> np.ndarray:
    """Strings, which are UTF-8 in ONNX."""
    texts = np.empty(array.size, object)
    try:
        texts[:] = [bytes(one).decode() for one in array.reshape(-1).tolist()]
    except UnicodeDecodeError as error:
        raise BadRequest(f"input {name!r}: a string is not UTF-8: {error}") from None
    return texts.reshape(array.shape)


def _array(result: Any) -> np.ndarray:
    """One output."""
    if isinstance(result, list):
        keys = sorted(result[0]) if result else []
        return np.array([[row[key] for key in keys] for row in result], np.float32).reshape(
            len(result), len(keys)
        )
    array: np.ndarray = np.asarray(result)
    if array.dtype == object:
        flat = np.empty(array.size, object)
        flat[:] = [str(text).encode() for text in array.reshape(-1).tolist()]
        return flat.reshape(array.shape)
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def _dtype(kind: str) -> str | None:
    """``DT_...`` of a type as ONNX Runtime writes it, ``tensor(float)``; None: nothing that can be sent."""
    if _MAPS.fullmatch(kind):
        return "DT_FLOAT"
    return _DTYPES.get(kind.removeprefix("tensor(").removesuffix(")")) if kind.startswith("tensor(") else None


def _spec(value: Any) -> Spec:
    """A description of ONNX Runtime's as ours."""
    dtype = _dtype(value.type) or ""
    if _MAPS.fullmatch(value.type):
        return Spec(value.name, dtype, (None, None))
    # ONNX Runtime shows a scalar and a tensor of unknown rank alike.
    dims = tuple(dim if isinstance(dim, int) and dim >= 0 else None for dim in value.shape)
    return Spec(value.name, dtype, dims or None)


def _batched(inputs: list[Any], outputs: list[Any]) -> bool:
    """Whether dimension 0 may be the batch everywhere: unknown, and of one name among the inputs.

    Exporters give outputs names of their own for the same dimension, so theirs don't count: the base class
    tests whether they follow the inputs.
    """
    firsts = [value.shape[0] if value.shape else None for value in [*inputs, *outputs]]
    names = {dim for dim in firsts[: len(inputs)] if isinstance(dim, str)}
    known = any(isinstance(dim, int) and dim >= 0 for dim in firsts)
    return bool(inputs) and not known and len(names) <= 1


def reason(error: BaseException) -> str:
    """What ONNX Runtime complains of, in one line, without its codes and places in its source."""
    text = _CODE.sub("", " ".join(str(error).split()))
    node = _NODE.match(text)
    if node:
        where = f" {node[2]!r}" if node[2] else ""
        text = f"{node[1]}{where}: {_PLACE.sub('', text[node.end() :])}"
    return text[:_LONGEST]
