"""The codes of ``processor``: what serves them, and which can't be served outside the cloud.

A code is looked up without its version: ``tensorflow_cpu_1.12`` is served by the TensorFlow that is
installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Preset:
    """A family of codes: ``pattern`` tells them, ``served_by`` or ``instead`` what becomes of them."""

    name: str
    pattern: re.Pattern[str]
    served_by: str = ""
    instead: str = ""

    @property
    def is_served(self) -> bool:
        """Whether it can be served outside the cloud."""
        return bool(self.served_by)


_OWN_BUNDLE: Final = "with the bundle at hand: processor_type cpp and its .so"
_CUSTOM: Final = "write a custom processor (processor_type python, cpp or java), or use containers"


def _preset(name: str, pattern: str, served_by: str = "", instead: str = "") -> Preset:
    return Preset(name, re.compile(pattern), served_by, instead)


_VERSION: Final = r"(_[0-9]+(\.[0-9]+)*)?"

PRESETS: Final = (
    _preset("tensorflow", rf"tensorflow(_cpu|_gpu)?{_VERSION}", "TensorFlow"),
    _preset("pytorch", rf"pytorch(_cpu|_gpu)?{_VERSION}", "PyTorch"),
    _preset("onnx", r"onnx(_cpu|_gpu|_cu[0-9]+)?", "ONNX Runtime"),
    _preset("caffe", r"caffe(_cpu|_gpu)?", "OpenCV's DNN module"),
    _preset("pmml", r"pmml", "the JPMML evaluator"),
    _preset("xgboost", r"xgboost(_cpu|_gpu)?", "XGBoost"),
    _preset("lightgbm", r"lightgbm", "LightGBM"),
    _preset("catboost", r"catboost", "CatBoost"),
    _preset("sklearn", r"sklearn", "scikit-learn"),
    _preset("easyrec-torch", r"easyrec[-_]torch(-[0-9.]+)?", instead=_OWN_BUNDLE),
    _preset("easyrec", r"easyrec(-[0-9.]+)?", instead=_OWN_BUNDLE),
    _preset("alink", r"alink(_.*)?", instead="export the model as PMML and use pmml"),
    _preset(
        "parameter_server",
        r"parameter_ser?ver",
        instead="export the model as a TensorFlow SavedModel and use tensorflow",
    ),
    _preset(
        "blade",
        r"blade(_.*)?",
        instead="use tensorflow, pytorch or onnx with the model as it was before Blade",
    ),
    _preset("mediaflow", r"mediaflow", instead=_CUSTOM),
    _preset("xnn", r"xnn(_cpu|_gpu)?", instead=_CUSTOM),
    _preset(
        "easytransfer", r"easytransfer(_.*)?", instead="export a TensorFlow SavedModel and use tensorflow"
    ),
    _preset("easynlp", r"easynlp", instead="export TorchScript and use pytorch"),
    _preset("easycv", r"easycv", instead="export TorchScript and use pytorch"),
    _preset("easy_vision", r"easy_vision(_.*)?", instead="export a TensorFlow SavedModel and use tensorflow"),
    _preset("triton", r"triton", instead="run Triton itself, through containers"),
)


def find(code: str) -> Preset | None:
    """The preset that ``code`` belongs to."""
    return next((preset for preset in PRESETS if preset.pattern.fullmatch(code)), None)


def known_codes() -> tuple[str, ...]:
    """The names of the presets that are served, for messages."""
    return tuple(preset.name for preset in PRESETS if preset.is_served)


def wants_gpu(code: str) -> bool:
    """Whether the code names a GPU build."""
    return "_gpu" in code or "_cu" in code
