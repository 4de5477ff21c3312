"""What a family's wire format has to offer to the base class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eas_processors.tensors.model import Arrays, Call


@dataclass(frozen=True)
class Protocol:
    """One protobuf format.

    Attributes:
        name: for messages: "TensorFlow".
        positional: whether inputs may reach the model as a list; if not, the base class gives them the names
            of the signature.
        decode: a request's body (flat, format "B") to a call; raises ``BadRequest``.
        encode: the outputs of a call to the answer's body; raises ``BadRequest`` for types the format lacks.
    """

    name: str
    positional: bool
    decode: Callable[[memoryview], Call]
    encode: Callable[[Arrays], bytes]
