"""What a preset for tensors says about its model, and the calls that reach it.

A preset module writes one ``Model`` and one subclass of ``TensorPreset`` (base.py); all that concerns bytes,
formats, checks and batches is done there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np

from eas_processors.tensors.stacked import Stacks

Arrays = dict[str, np.ndarray] | list[np.ndarray]
"""Tensors by name, or in order. Strings are arrays of dtype object that hold ``bytes``."""

OutputFilter = tuple[str | int, ...]
"""Names, or positions counted from 0, of the outputs wanted; empty: all of them."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One input or output of a signature.

    Attributes:
        name: the key that requests and answers use.
        dtype: ``"DT_FLOAT"`` and so on, names of dtypes.py; ``""``: not known, anything goes.
        shape: the dimensions, None = unknown; None instead of the tuple: not even their number is known.
        optional: the model has a default for this input.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a model.

    Attributes:
        name: ``"serving_default"``, for instance; ``""`` where the framework has no names for it.
        inputs: in the order in which unnamed inputs are taken; None: not known, nothing is checked.
        outputs: None: not known.
        batched: dimension 0 of every input and output is the batch: rows don't influence each other, and
            requests may be joined.
    """

    name: str
    inputs: tuple[Spec, ...] | None
    outputs: tuple[Spec, ...] | None
    batched: bool


class Form(Enum):
    """The format of a body; the answer has the form of its request."""

    PROTOBUF = "protobuf"
    JSON = "json"
    NPY = "npy"
    NPZ = "npz"


@dataclass(slots=True)
class Call:
    """One decoded request.

    Attributes:
        signature_name: ``""``: the model's default.
        inputs: by name or in order, as the client sent them.
        output_filter: see ``OutputFilter``.
        debug_level: PyTorch's request has one; 0 elsewhere.
        form: how to encode the answer.
    """

    signature_name: str
    inputs: Arrays
    output_filter: OutputFilter = ()
    debug_level: int = 0
    form: Form = Form.PROTOBUF


class Model(Protocol):
    """A loaded model of one framework."""

    def signature(self, name: str) -> Signature:
        """The signature of that name; ``""``: the default one.

        Raises:
            BadRequest: there is none; the message lists the known ones.
        """
        ...

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """Compute. Called from several threads at once.

        Args:
            signature: what ``signature`` returned.
            inputs: checked against the signature. By name for protocols with ``positional = False``; else as
                the client sent them. The arrays may be read-only and unaligned (they may lie in the request's
                body) and are valid during the call only.
            output_filter: checked against ``signature.outputs`` where those are known.

        Returns:
            The outputs, by name or in order; with a filter only those it names.

        Raises:
            BadRequest: the client's fault. Anything else is answered 400, too, with the exception's text.
        """
        ...


@runtime_checkable
class ResolvingModel(Model, Protocol):
    """A model any of whose tensors can be fed and fetched, so that the signature is the call's."""

    def resolve(self, call: Call) -> Signature:
        """The signature for a call: its inputs have the names of the call's.

        Args:
            call: only names count: in JSON bodies the types are not known before the signature is, and
                ``call.inputs`` holds empty arrays.

        Raises:
            BadRequest: there is none.
        """
        ...


@runtime_checkable
class JoiningModel(Model, Protocol):
    """A model that joins the inputs of several requests itself, where and how that costs it least."""

    def run_joined(self, signature: Signature, inputs: Stacks, output_filter: OutputFilter) -> Arrays:
        """``run`` with the inputs of several requests, or of one and copies of its last row."""
        ...


@runtime_checkable
class CountingModel(Model, Protocol):
    """A model that counts what it copies in the memory of the machine.

    Attributes:
        copied: bytes, in the thread that asks, since it last said 0.
    """

    copied: int
