"""The model.py of Triton's Python backend; one process an instance, batches as config.pbtxt has them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

sys.path[:0] = os.environ["PYTHONPATH"].split(":")  # which this embedded interpreter doesn't look at

from peers import work  # noqa: E402 - found by the line above


class TritonPythonModel:
    """Named so by Triton."""

    def initialize(self, args: dict[str, str]) -> None:
        """Once an instance."""
        self._arrays: Callable[[Sequence[Any]], Sequence[Any]]
        if work.kind() == work.NETWORK:
            rows = work.rows()
            self._arrays = lambda inputs: np.split(
                rows(np.concatenate(inputs)), np.cumsum([len(one) for one in inputs])[:-1]
            )
        elif work.kind() == "large":
            self._arrays = lambda inputs: [one[..., : work.LARGE_ANSWER] for one in inputs]
        else:
            answer = work.one()  # of the body itself nothing changes
            self._arrays = lambda inputs: [answer(one) for one in inputs]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One batch."""
        inputs = [triton.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [triton.InferenceResponse([triton.Tensor("y", output)]) for output in self._arrays(inputs)]
