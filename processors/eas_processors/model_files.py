"""Which file is the model: the one that the service names, or the only one of its kind in the directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

_LISTED = 10


def model_file(model_entry: str, suffixes: Sequence[str], what: str) -> Path:
    """The model's file.

    Args:
        model_entry: as ``initialize`` gets it: a file, or a directory with a trailing ``/``.
        suffixes: what names of such files end in, in lower case: ``".onnx"``. A file that is named
            explicitly may end in anything.
        what: "an ONNX model", for messages.

    Returns:
        ``model_entry`` itself when it is a file; else the only file in it, or else in any directory below it,
        with one of the suffixes.

    Raises:
        ValueError: no model is configured, none was found, or several were.
    """
    wanted = f"{what} ({' or '.join(suffixes)})"
    if not model_entry:
        raise ValueError(f"the service has no model: model_path must lead to {wanted}")
    path = Path(model_entry)
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(f"the model {path} doesn't exist")
    found = _candidates(path, suffixes)
    if not found:
        raise ValueError(f"{path} holds no file that is {wanted}; it holds {_listed(path, path.iterdir())}")
    if len(found) > 1:
        raise ValueError(
            f"{path} holds several files that could be {wanted}: {_listed(path, found)}; "
            "say which one with model_entry"
        )
    return found[0]


def _candidates(directory: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files directly in the directory if there are any, else those at any depth; none that is hidden."""

    def fits(path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        return not hidden and path.name.lower().endswith(tuple(suffixes)) and path.is_file()

    return sorted(filter(fits, directory.iterdir())) or sorted(filter(fits, directory.rglob("*")))


def _listed(directory: Path, paths: Iterable[Path]) -> str:
    """Names relative to the directory, not too many of them."""
    names = sorted(f"{path.relative_to(directory)}{'/' if path.is_dir() else ''}" for path in paths)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "nothing") + more
