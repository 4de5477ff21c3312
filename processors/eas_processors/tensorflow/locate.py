"""Which file or folder below ``model_entry`` is the model, and of which format it is.

A SavedModel is a folder with ``saved_model.pb`` (or ``.pbtxt``); naming that file means its folder. Of a
folder without it, the one model directly inside is taken: a SavedModel one folder down (TensorFlow Serving's
``model/1/``), a frozen graph or a Keras file. Several are refused: guessing a version would be worse.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import NamedTuple

from eas_processors.tensorflow.errors import ModelUnusable


class Format(Enum):
    """How a model is stored."""

    SAVED_MODEL = "SavedModel"
    FROZEN_GRAPH = "frozen graph"
    KERAS = "Keras file"


class Found(NamedTuple):
    """A model: the folder of a SavedModel, else a file."""

    format: Format
    path: Path


_FILES = {
    ".pb": Format.FROZEN_GRAPH,
    ".keras": Format.KERAS,
    ".h5": Format.KERAS,
    ".hdf5": Format.KERAS,
}
_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
WANTED = "a SavedModel (a folder with saved_model.pb), a frozen graph (.pb) or a Keras file (.keras, .h5)"


def locate(model_entry: str) -> Found:
    """The model that ``model_entry`` means; ``ModelUnusable`` when there is none, or more than one."""
    if not model_entry:
        raise ModelUnusable(f"no model: model_path must lead to {WANTED}")
    path = Path(model_entry)
    if path.is_dir():
        return _in_folder(path)
    if not path.exists():
        raise ModelUnusable(f"{path} doesn't exist (model_path, model_entry)")
    found = _as_file(path)
    if found is None:
        raise ModelUnusable(f"{path.name} is of no known format: the model must be {WANTED}")
    return found


def _in_folder(folder: Path) -> Found:
    """The model that the folder is, or the only one directly inside."""
    if _is_saved_model(folder):
        return Found(Format.SAVED_MODEL, folder)
    inside = [found for each in sorted(folder.iterdir()) if (found := _inside(each)) is not None]
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(found.path.name for found in inside)
    if inside:
        raise ModelUnusable(f"there are several models in {folder}: {names}; name one with model_entry")
    raise ModelUnusable(f"there is no model in {folder}: it must hold {WANTED}")


def _inside(path: Path) -> Found | None:
    """A folder's entry, if it is a model."""
    if path.is_dir():
        return Found(Format.SAVED_MODEL, path) if _is_saved_model(path) else None
    return _as_file(path)


def _as_file(path: Path) -> Found | None:
    """The model that a file is."""
    if path.name in _SAVED_MODEL:
        return Found(Format.SAVED_MODEL, path.parent)
    known = _FILES.get(path.suffix.lower())
    return Found(known, path) if known else None


def _is_saved_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _SAVED_MODEL)
