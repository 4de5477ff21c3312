"""Processors in C and C++: a shared library, called by ``ctypes`` without the GIL.

Of what a library exports the first of these is used::

    eas_processor_v1   the versioned interface (cpp_v1); it has a batch call of its own
    batch_process      with rpc.cpp_batch alone
    async_process      preferred over process, as PAI-EAS does
    process

The working directory is the processor's and stays it: what is packed beside the library is found by bare
names (``dlopen("libextra.so")`` by LD_LIBRARY_PATH, which the engine sets). The model is found by the
absolute path that ``initialize`` gets, or as ``../../model``.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
from typing import Any, Dict, List, Optional, Tuple

from eas_host import elf
from eas_host.adapters import cpp_plain, cpp_v1
from eas_host.adapters.cpp_memory import MEMORY, flush_lines, free
from eas_host.adapters.cpp_server import Call
from eas_host.load import Failed
from eas_sdk._batches import Call as BatchCall

DEFAULT_THREADS = 5
_PLAIN = ("async_process", "process")
_INTERPRETER = "/proc/self/exe"
_MOST_NAMED = 10


class Cpp:
    """One library that was loaded and is not initialised yet."""

    kind = "cpp"
    processes = 1

    def __init__(self, start: Dict[str, Any]) -> None:
        self._path: str = start["entry"]
        self._name = os.path.basename(self._path)
        self._model: Tuple[str, str] = (start["model_entry"], start["model_config"])
        if "\0" in self._model[1]:
            raise Failed("construct", "model_config holds a NUL character, where a C string would end")
        self.threads: int = start["threads"] or DEFAULT_THREADS
        self.warnings: List[str] = []
        # The stacks of all Python threads say nothing of a fault in a library, and would bury its last words.
        faulthandler.enable(all_threads=False)
        flush_lines()
        self._library = load(self._path)
        self._versioned: Optional[cpp_v1.Versioned] = None
        self.batch = bool(start.get("cpp_batch"))
        self._used = self._choose()

    def _choose(self) -> str:
        """The symbol that is used. Errors: ``Failed`` when there is none."""
        if self._has(cpp_v1.SYMBOL):
            self._versioned = cpp_v1.Versioned(cpp_v1.table_of(self._library, self._name), self._name)
            if self.batch:
                self.warnings.append(f"rpc.cpp_batch has no effect: {self._name} exports {cpp_v1.SYMBOL}")
            self.batch = self._versioned.batches
            return cpp_v1.SYMBOL
        wanted = ("batch_process",) if self.batch else _PLAIN
        found = [symbol for symbol in wanted if self._has(symbol)]
        if not found or not self._has("initialize"):
            missing = "initialize" if found else wanted[-1]
            raise Failed("construct", f"{self._name}: {_missing(self._path, missing)}")
        return found[0]

    def _has(self, symbol: str) -> bool:
        return hasattr(self._library, symbol)

    def properties(self) -> Dict[str, str]:
        """None: a library has no settings of its own."""
        return {}

    def initialize(self) -> None:
        """Calls the library's ``initialize``, and says what will be called."""
        if self._versioned is not None:
            self._versioned.initialize(*self._model)
            print(f"{self._name}: the versioned interface, version {cpp_v1.ABI_VERSION}")
            return
        self._plain = cpp_plain.initialize(self._library, self._name, *self._model)
        print(f"{self._name}: the plain interface, {self._used}()")
        if self._has("get_serving_model_info"):
            print(f"{self._name}: {_model_info(self._library, self._plain)}")

    def handle(self) -> Call:
        """The calls of the library."""
        if self._versioned is not None:
            return self._versioned.call()
        if self._used == "process":
            process = cpp_plain.Process(self._library, self._plain)
            return Call(process.invoke, process.done, process.fast)
        if self._used == "async_process":
            return Call(cpp_plain.Async(self._library, self._plain).invoke, _nothing)
        return Call(cpp_plain.Batch(self._library, self._plain).invoke, _nothing)

    def handle_batch(self) -> BatchCall:
        """The batch call of the library."""
        if self._versioned is not None:
            return cpp_v1.Batch(self._versioned)
        return cpp_plain.Batch(self._library, self._plain)

    def close(self) -> None:
        """Calls ``destroy`` of the versioned interface; the plain one has no end."""
        if self._versioned is not None:
            self._versioned.close()


def _nothing(_: object) -> None:
    """The end of a call whose answer was copied already."""


def load(path: str) -> ctypes.CDLL:
    """The library, with its own dependencies and nothing of it visible to others.

    Errors: ``Failed``, which says what the loader said, and what it can't know.
    """
    name = os.path.basename(path)
    try:
        found, ours = elf.kind_of(path), elf.kind_of(_INTERPRETER)
    except elf.NotElf as error:
        raise Failed("construct", f"{name} is no shared library (ELF): {error}") from error
    except OSError as error:
        raise Failed("construct", f"can't read processor_entry: {error}") from error
    if not found.runs_as(ours):
        raise Failed("construct", f"{name} is built for {found.name}; this host runs {ours.name}")
    if not found.shared:
        raise Failed("construct", f"{name} is an ELF file, but no shared library: link it with -shared")
    missing = elf.missing_bytes(path)
    if missing:
        raise Failed("construct", f"{name} is cut off: at least {missing} bytes are missing at its end")
    try:
        return ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise Failed("construct", f"{name} can't be loaded: {error}{_hint(str(error))}") from error


def _hint(said: str) -> str:
    """What the loader's words leave open."""
    if "cannot open shared object file" in said:
        places = os.environ.get("LD_LIBRARY_PATH", "")
        return f" (searched: LD_LIBRARY_PATH={places} and the system; pack the library beside the processor)"
    if "GLIBC" in said and "not found" in said:
        return " (it was built on a newer system than this one; build it on this one, or an older one)"
    if "undefined symbol" in said:
        return " (link the library that defines it, and pack that beside the processor)"
    return ""


def _missing(path: str, wanted: str) -> str:
    """That a symbol isn't exported, and what is instead."""
    exported = elf.functions(path)
    mangled = [symbol for symbol in exported if elf.plain_name(symbol) == wanted]
    if mangled:
        return f'{wanted}() is exported under its C++ name {mangled[0]}; declare it extern "C"'
    own = [symbol for symbol in exported if not symbol.startswith("_")]
    names = ", ".join(own[:_MOST_NAMED]) + (", ..." if len(own) > _MOST_NAMED else "")
    return f"it exports no {wanted}(); its functions: {names or 'none'}"


def _model_info(library: ctypes.CDLL, model: ctypes.c_void_p) -> str:
    """What ``get_serving_model_info`` says, for the log: a protobuf message with one field, model_path."""
    output, size = ctypes.c_void_p(), ctypes.c_int()
    code = library.get_serving_model_info(model, ctypes.byref(output), ctypes.byref(size))
    address, length = output.value, size.value
    if address is None:
        return f"get_serving_model_info returned {code} and nothing"
    told = MEMORY[address : address + max(0, length)].tobytes()
    free(output)
    if code not in {0, 200}:
        return f"get_serving_model_info returned {code}: {told[:200]!r}"
    # Field 1, length-delimited; a length below 128 is one byte.
    if len(told) >= 2 and told[0] == 0x0A and told[1] == len(told) - 2:
        return f"serving model {told[2:].decode('utf-8', 'replace')}"
    return f"serving model info {told[:200]!r}"
