"""MLServer's V2 protocol in JSON: bodies as a string (base64 where they aren't text), rows as numbers."""

from __future__ import annotations

import base64

import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from peers import work


class Runtime(MLModel):  # type: ignore[misc]  # not installed where types are checked
    """One model."""

    async def load(self) -> bool:
        """Once a worker."""
        if work.kind() == work.NETWORK:
            self._rows = work.rows()
        else:
            self._answer = work.one()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One request, or one batch of rows."""
        data = payload.inputs[0].data.root
        if work.kind() == work.NETWORK:
            rows = self._rows(np.asarray(data, dtype=np.float32).reshape(-1, 784))
            output = ResponseOutput(
                name="y", shape=list(rows.shape), datatype="FP32", data=rows.ravel().tolist()
            )
        else:
            text = data[0] if isinstance(data, list) else data
            answer = self._answer(base64.b64decode(text))
            told = base64.b64encode(answer).decode()
            output = ResponseOutput(name="y", shape=[1], datatype="BYTES", data=[told])
        return InferenceResponse(model_name=self.name, outputs=[output])
