"""The digits service: an EAS processor as they are written for the cloud; it needs numpy alone.

A request is one or more scans of 8 x 8 pixels, 0 = white to 16 = black, row by row:

* JSON: a list of 64 numbers, or a list of such lists;
* or raw bytes, 64 a scan (``numpy`` users: ``pixels.astype("uint8").tobytes()``).

The answer is JSON, one object a scan, in the same order: ``[{"digit": 7, "probability": 0.9915}]``.
Anything else is answered with 400 and what is wrong with it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import allspark

PIXELS = 64
BLACK = 16

Floats = NDArray[np.float64]


class NotScansError(ValueError):
    """The request isn't one or more scans; the message says why, for the caller."""


class Classifier:
    """Kernel ridge regression over the training scans (train.py).

    Computed with 53 bits, so that the last digit of an answer doesn't depend on the order of a sum: the
    processors in other languages beside this file answer the same to the last character.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            self._centres = arrays["centres"].astype(np.float64)
            self._weights = arrays["weights"].astype(np.float64)
            self._gamma = float(arrays["gamma"])
            self._sharpness = float(arrays["sharpness"])
        self._squares = (self._centres**2).sum(1)

    def probabilities(self, scans: Floats) -> Floats:
        """Of each digit for each scan: (n, 64), pixels 0..16, to (n, 10)."""
        scans = scans / BLACK
        squares = (scans**2).sum(1)[:, None] + self._squares - 2 * scans @ self._centres.T
        scores = self._sharpness * (np.exp(-self._gamma * squares) @ self._weights)
        raised: Floats = np.exp(scores - scores.max(1, keepdims=True))
        raised /= raised.sum(1, keepdims=True)
        return raised


def read_scans(data: bytes) -> Floats:
    """The scans of a request, (n, 64). Errors: NotScansError."""
    if not data:
        raise NotScansError("an empty request: send 64 pixels of 0..16 a scan, as JSON lists or as raw bytes")
    if len(data) % PIXELS == 0:
        raw = np.frombuffer(data, np.uint8)
        # JSON can't look like this: its brackets and digits are characters above 16.
        if raw.max() <= BLACK:
            return raw.reshape(-1, PIXELS).astype(np.float64)
    return _read_json(data)


def _read_json(data: bytes) -> Floats:
    try:
        scans = np.asarray(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise NotScansError(
            f"neither JSON lists of 64 numbers nor raw bytes of 0..16, 64 a scan: {error}"
        ) from None
    if scans.dtype.kind not in "iuf":
        raise NotScansError("pixels must be numbers of 0..16")
    if scans.shape[-1:] != (PIXELS,) or scans.ndim > 2:
        raise NotScansError(f"a scan has 64 pixels; these lists have the shape {scans.shape}")
    if not ((scans >= 0) & (scans <= BLACK)).all():
        raise NotScansError("pixels must be numbers of 0..16")
    return scans.reshape(-1, PIXELS).astype(np.float64)


class DigitsProcessor(allspark.BaseProcessor):
    """One instance of the service."""

    def initialize(self) -> None:
        """Load the model, once, before the first request."""
        self.classifier = Classifier(Path(self.get_model_path()) / "digits.npz")

    def process(self, data: bytes) -> tuple[bytes, int]:
        """Classify; called by several threads at once."""
        try:
            scans = read_scans(data)
        except NotScansError as error:
            return str(error).encode(), 400
        probabilities = self.classifier.probabilities(scans)
        best = probabilities.argmax(1)
        answer = [
            {"digit": int(digit), "probability": round(float(row[digit]), 4)}
            for digit, row in zip(best, probabilities, strict=True)
        ]
        return json.dumps(answer).encode(), 200


if __name__ == "__main__":
    DigitsProcessor(worker_threads=5).run()
