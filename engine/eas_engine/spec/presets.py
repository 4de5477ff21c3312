"""The codes of ``processor``: what serves them, and which can't be served outside the cloud.

A code names a family, perhaps a device and a version: ``tensorflow_gpu_1.12``. The family is served by the
module of that name in ``eas_processors``, with whatever version of the framework is installed; the engine
itself imports neither.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from eas_engine.records import dataclass
from eas_engine.spec.machine import Machine
from eas_engine.spec.model import ServiceSpec

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A family of codes: ``pattern`` tells them, ``served_by`` or ``instead`` what becomes of them.

    Attributes:
        name: the family; ``eas_processors.<name>`` serves it.
        pattern: its codes.
        served_by: the framework, for people; empty: it can't be served.
        instead: what to do when it can't be served.
        extra: ``pip install 'eas-engine[EXTRA]'`` installs what it needs.
        modules: the top-level modules that it imports.
        distributions: the names under which the framework may be installed.
    """

    name: str
    pattern: re.Pattern[str]
    served_by: str = ""
    instead: str = ""
    extra: str = ""
    modules: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()

    @property
    def is_served(self) -> bool:
        """Whether it can be served outside the cloud."""
        return bool(self.served_by)

    @property
    def uses_gpus(self) -> bool:
        """Whether the framework can run on a GPU: it has codes that say so."""
        return "_gpu" in self.pattern.pattern

    @property
    def install(self) -> str:
        """The command that installs what it needs."""
        return f"pip install 'eas-engine[{self.extra}]'"


_VERSION: Final = r"(_[0-9]+(\.[0-9]+)*)?"
_OWN_BUNDLE: Final = "with the bundle at hand: processor_type cpp and its .so"
_CUSTOM: Final = "write a custom processor (processor_type python, cpp or java), or use containers"
_SAVED_MODEL: Final = "export a TensorFlow SavedModel and use tensorflow"
_TORCH_SCRIPT: Final = "export TorchScript and use pytorch"


def _served(family: str, pattern: str, by: str, modules: str, *, extra: str = "", known_as: str) -> Preset:
    return Preset(
        family,
        re.compile(pattern),
        by,
        extra=extra or family,
        modules=tuple(modules.split()),
        distributions=tuple(known_as.split()),
    )


def _refused(name: str, pattern: str, instead: str) -> Preset:
    return Preset(name, re.compile(pattern), instead=instead)


_TENSORFLOWS: Final = "tensorflow tensorflow-cpu tensorflow-intel tensorflow-cpu-aws tf-nightly"
_OPENCVS: Final = "opencv-python-headless opencv-python opencv-contrib-python-headless opencv-contrib-python"

PRESETS: Final = (
    _served(
        "tensorflow",
        rf"tensorflow(_cpu|_gpu)?{_VERSION}",
        "TensorFlow",
        "tensorflow numpy",
        known_as=_TENSORFLOWS,
    ),
    _served(
        "pytorch",
        rf"pytorch(_cpu|_gpu)?{_VERSION}",
        "PyTorch",
        "torch numpy",
        extra="torch",
        known_as="torch",
    ),
    _served(
        "onnx",
        r"onnx(_cpu|_gpu|_cu[0-9]+)?",
        "ONNX Runtime",
        "onnxruntime numpy",
        known_as="onnxruntime onnxruntime-gpu",
    ),
    _served("caffe", r"caffe(_cpu|_gpu)?", "OpenCV's DNN module", "cv2 numpy", known_as=_OPENCVS),
    _served(
        "pmml", r"pmml", "the JPMML evaluator", "jpmml_evaluator jpype numpy", known_as="jpmml-evaluator"
    ),
    _served("xgboost", r"xgboost(_cpu|_gpu)?", "XGBoost", "xgboost numpy", known_as="xgboost xgboost-cpu"),
    _served("lightgbm", r"lightgbm", "LightGBM", "lightgbm numpy", known_as="lightgbm"),
    _served("catboost", r"catboost", "CatBoost", "catboost numpy", known_as="catboost"),
    _served("sklearn", r"sklearn", "scikit-learn", "sklearn skops numpy", known_as="scikit-learn"),
    _refused("easyrec-torch", r"easyrec[-_]torch(-[0-9.]+)?", _OWN_BUNDLE),
    _refused("easyrec", r"easyrec(-[0-9.]+)?", _OWN_BUNDLE),
    _refused("alink", r"alink(_.*)?", "export the model as PMML and use pmml"),
    _refused("parameter_server", r"parameter_ser?ver", _SAVED_MODEL),
    _refused(
        "blade", r"blade(_.*)?", "use tensorflow, pytorch or onnx with the model as it was before Blade"
    ),
    _refused("mediaflow", r"mediaflow", _CUSTOM),
    _refused("xnn", r"xnn(_cpu|_gpu)?", _CUSTOM),
    _refused("easytransfer", r"easytransfer(_.*)?", _SAVED_MODEL),
    _refused("easynlp", r"easynlp", _TORCH_SCRIPT),
    _refused("easycv", r"easycv", _TORCH_SCRIPT),
    _refused("easy_vision", r"easy_vision(_.*)?", _SAVED_MODEL),
    _refused("triton", r"triton", "run Triton itself, through containers"),
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


def version(code: str) -> str:
    """The framework's version that the code names, as ``1.12``; empty: it names none."""
    return code.rpartition("_")[2] if re.search(r"_[0-9.]+$", code) else ""


def device(spec: ServiceSpec, machine: Machine) -> Device:
    """On a GPU when ``metadata`` of ``spec`` asks for one and the machine has one, whatever the code says.

    What nobody asked for isn't counted, and would be somebody else's. A code with ``_cpu`` stays on the CPU.
    """
    preset = find(spec.processor)
    if preset is None or not preset.uses_gpus:
        return "cpu"
    asked = spec.metadata.gpu or spec.metadata.gpu_memory
    return "gpu" if asked and machine.gpus and "_cpu" not in spec.processor else "cpu"


def serving(spec: ServiceSpec, machine: Machine) -> str:
    """What serves the preset of ``spec``, for people: ``served by TensorFlow 2.21.0 in compatibility mode``.

    *Compatibility mode*: the code names another version than the one that is installed.
    """
    preset = find(spec.processor)
    if preset is None or not preset.is_served:
        return "can't be served here"
    installed = machine.packages.version(preset.distributions)
    words = f"served by {preset.served_by}{' ' + installed if installed else ''}"
    if is_other_version(spec.processor, installed):
        words += " in compatibility mode"
    if device(spec, machine) == "gpu":
        return words + " on a GPU"
    return words + " on the CPU" if wants_gpu(spec.processor) else words


def is_other_version(code: str, installed: str) -> bool:
    """Whether ``code`` names a version that isn't the one that is installed (``2.4`` is that of 2.4.1)."""
    named = version(code).split(".")
    return bool(version(code)) and bool(installed) and installed.split(".")[: len(named)] != named
