"""Brings an entry to life, and says in a person's words why it can't.

Whatever the processor's code raises before it serves becomes ``Failed``: the stage, one line, and the
traceback without the host's own frames.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from types import CodeType, ModuleType, TracebackType
from typing import Callable, List, Optional, Type, TypeVar

import allspark
import eas_sdk
from eas_host import entry as entries

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
T = TypeVar("T")


class Failed(Exception):
    """The processor can't serve.

    Attributes:
        stage: ``"entry"``, ``"import"``, ``"construct"`` or ``"initialize"``.
        message: one line.
        trace: the traceback, ``""`` when none helps.
    """

    def __init__(self, stage: str, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message
        self.trace = trace


def attempt(stage: str, action: Callable[[], T]) -> T:
    """The result of ``action``, whose exceptions, ``SystemExit`` included, become ``Failed``."""
    try:
        return action()
    except Failed:
        raise
    except BaseException as error:
        raise failure(stage, error) from error


def failure(stage: str, error: BaseException) -> Failed:
    """``Failed`` for what the processor's code raised under the function that calls this."""
    foreign = _without_our_frames(error.__traceback__)
    trace = "".join(traceback.format_exception(type(error), error, foreign))
    if isinstance(error, SystemExit):
        return Failed(stage, f"sys.exit({error.code!r}) was called{_place(foreign)}", trace)
    text = next(iter(str(error).splitlines()), "")[:500]
    place = "" if isinstance(error, SyntaxError) else _place(foreign)
    return Failed(stage, f"{type(error).__name__}: {text}{place}", trace)


def is_script(path: str, wanted: Optional[str]) -> bool:
    """Whether the entry is executed (as opposed to imported); ``Failed`` when it can't be told."""
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise Failed("entry", f"can't read processor_entry: {error}") from error
    try:
        return entries.is_script(source, path, wanted)
    except entries.EntryError as error:
        raise Failed("entry", f"{os.path.basename(path)}: {error}") from error
    except (SyntaxError, ValueError) as error:
        raise failure("import", error) from error


def run_script(path: str) -> None:
    """Executes the entry as ``python path`` would; raises what it raises.

    ``__main__`` stays the script's module, as long as the process lives: pickle and the ``spawn`` children of
    ``multiprocessing`` look for the script's classes there.
    """
    loader = SourceFileLoader("__main__", path)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __loader__=loader, __spec__=None, __cached__=None, __package__=None)
    sys.modules["__main__"] = main
    exec(_code(loader, path), main.__dict__)  # noqa: S102 - this is what a host is for


def load_class(path: str, wanted: Optional[str]) -> Type[object]:
    """Imports the entry and finds its class; ``Failed`` when it raises or there isn't exactly one."""
    module = attempt("import", lambda: _imported(path))
    try:
        return _named(module, wanted) if wanted else _only(module, path)
    except entries.EntryError as error:
        raise Failed("entry", f"{os.path.basename(path)}: {error}") from error


def stage_of(error: BaseException) -> str:
    """Whether a script failed in the constructor of its processor or anywhere else before ``run()``."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "__init__" and isinstance(
            frame.f_locals.get("self"), allspark.BaseProcessor
        ):
            return "construct"
    return "import"


def _code(loader: SourceFileLoader, path: str) -> CodeType:
    """The compiled entry. No byte code is written: the name ``__main__`` stands for many files."""
    return loader.source_to_code(loader.get_data(path), path)


def _imported(path: str) -> ModuleType:
    """The entry as a module under the name of its file, so that ``spawn`` children can import it too."""
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name = f"processor_{name}"
    loader = SourceFileLoader(name, path)
    spec = ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _named(module: ModuleType, wanted: str) -> Type[object]:
    """The class that service.json names."""
    found = getattr(module, wanted, None)
    if found is None:
        raise entries.EntryError(f"there is no class {wanted} in it")
    if not isinstance(found, type) or not issubclass(found, (eas_sdk.Processor, allspark.BaseProcessor)):
        raise entries.EntryError(f"{wanted} is no subclass of eas_sdk.Processor or allspark.BaseProcessor")
    return found


def _only(module: ModuleType, path: str) -> Type[object]:
    """The one processor class defined in the module."""
    defined: List[Type[object]] = []
    for each in vars(module).values():
        if not isinstance(each, type) or each.__module__ != module.__name__ or each in defined:
            continue
        if issubclass(each, (eas_sdk.Processor, allspark.BaseProcessor)):
            defined.append(each)
    leaves = [each for each in defined if not any(o is not each and issubclass(o, each) for o in defined)]
    if len(leaves) == 1:
        return leaves[0]
    with open(path, "rb") as file:
        found = entries.describe(file.read())
    if leaves:
        names = ", ".join(each.__name__ for each in leaves)
        raise entries.EntryError(f"several processors: {names}; name one as app.py:Class ({found})")
    raise entries.EntryError(
        "no processor: it needs one subclass of eas_sdk.Processor, or one of allspark.BaseProcessor "
        f"whose run() is called; found: {found}"
    )


def _without_our_frames(trace: Optional[TracebackType]) -> Optional[TracebackType]:
    """The traceback from the first frame that isn't the host's; when all are, all but the outermost."""
    whole = foreign = trace.tb_next if trace is not None else None
    while foreign is not None and _is_machinery(foreign.tb_frame.f_code.co_filename):
        foreign = foreign.tb_next
    return foreign or whole


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib"))


def _place(trace: Optional[TracebackType]) -> str:
    """The innermost line of the processor's own files."""
    here = os.getcwd() + os.sep
    lines = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(trace)] if trace else []
    own = [(os.path.relpath(name), line) for name, line in lines if name.startswith(here)]
    return " ({}, line {})".format(*own[-1]) if own else ""
