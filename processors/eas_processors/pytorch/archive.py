"""What kind of model a file is, found out without loading it.

``torch.save`` writes pickles, and loading a pickle runs whatever code it names. Such files are refused
here, by the names in their archive, before torch sees them. TorchScript has a reader of its own that knows
tensors and the classes of the archive only. ``torch.export`` reads most parts in that way, too, but falls
back to pickle for some; ``without_pickle`` closes that way.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

HOW = (
    "export it with torch.jit.script(model).save('model.pt'), torch.jit.trace(model, example).save(...) "
    "or torch.export.save(torch.export.export(model, example), 'model.pt2')"
)
_OPAQUE = "opaque_obj_"
_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class NotServed(ValueError):
    """The model can't be served as it is; the message is for the operator."""


class Kind(Enum):
    """The formats that are served."""

    SCRIPT = "TorchScript"
    EXPORT = "torch.export"


def kind(path: Path) -> Kind:
    """The format of a model's file.

    Raises:
        NotServed: it is another one; says which, if known, and how to export.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name.partition("/")[2] or name for name in archive.namelist()]
            whole = archive.namelist()
            if "serialized_exported_program.json" in whole or any(_is_model(name) for name in members):
                _refuse_pickles(archive)
                return Kind.EXPORT
    except zipfile.BadZipFile:
        raise NotServed(f"it is neither TorchScript nor torch.export: {HOW}") from None
    if "constants.pkl" in members and any(name.startswith("code/") for name in members):
        return Kind.SCRIPT
    if any(name.startswith("data/aotinductor/") for name in members):
        raise NotServed(f"it is a package of AOTInductor, compiled for one machine: {HOW}")
    if "data.pkl" in members:
        raise NotServed(
            "it was written by torch.save: it holds weights without the model's code, or "
            f"pickled classes, and pickles are not loaded; {HOW}"
        )
    raise NotServed(f"it is neither TorchScript nor torch.export: {HOW}")


def _is_model(member: str) -> bool:
    """Whether a member of an archive is the graph of an exported program."""
    return member.startswith("models/") and member.endswith(".json")


def _refuse_pickles(archive: zipfile.ZipFile) -> None:
    """Refuses exported programs with constants that only pickle could read."""
    for name in archive.namelist():
        if name.endswith("_constants_config.json"):
            entries = json.loads(archive.read(name)).get("config", {})
            opaque = sorted(key for key, value in entries.items() if _OPAQUE in str(value.get("path_name")))
            if opaque:
                raise NotServed(
                    f"it holds pickled Python objects ({', '.join(opaque)}), which are not loaded"
                )


@contextmanager
def without_pickle() -> Iterator[None]:
    """While it lasts, ``torch.load`` reads only tensors and containers, even where it is told otherwise.

    For the loading of one model at the start of a process: it sets the environment variable that torch has
    for this, which is the process's own.
    """
    before = os.environ.get(_FORCE)
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before
