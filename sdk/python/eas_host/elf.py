"""What an ELF file says about itself, for messages about libraries that can't be loaded.

Only what a message needs is read: what the file is for, and the names in its dynamic symbol table (System V
ABI, "Object Files"). The loader stays the judge of everything else; a file that is broken further inside
gives no names here and its own message there.
"""

from __future__ import annotations

import re
import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

_MAGIC = b"\x7fELF"
_SHARED = 3  # ET_DYN
_DYNSYM = 11  # SHT_DYNSYM
_FUNCTIONS = frozenset((2, 10))  # STT_FUNC, STT_GNU_IFUNC
_GLOBAL = frozenset((1, 2, 10))  # STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE
_MACHINES: Dict[int, str] = {
    3: "x86",
    8: "mips",
    20: "powerpc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86-64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}


class NotElf(Exception):
    """The file is no ELF file; the text says what it looks like."""


class Kind(NamedTuple):
    """What code a file holds."""

    machine: int
    bits: int
    big_endian: bool
    shared: bool

    @property
    def name(self) -> str:
        """Such as ``"aarch64, 64 bits"``."""
        order = ", big-endian" if self.big_endian else ""
        return f"{_MACHINES.get(self.machine, f'machine {self.machine}')}, {self.bits} bits{order}"

    def runs_as(self, other: Kind) -> bool:
        """Whether both are code for the same kind of processor."""
        return self[:3] == other[:3]


def kind_of(path: str) -> Kind:
    """What the file holds. Errors: ``NotElf``, ``OSError``."""
    with open(path, "rb") as file:
        head = file.read(20)
    if len(head) < 20 or not head.startswith(_MAGIC):
        raise NotElf(f"it begins with {head[:16]!r}" if head else "it is empty")
    big_endian = head[5] == 2
    kind, machine = struct.unpack_from(">HH" if big_endian else "<HH", head, 16)
    return Kind(machine, 32 if head[4] == 1 else 64, big_endian, kind == _SHARED)


def missing_bytes(path: str) -> int:
    """How many bytes a 64-bit file lacks of what its program headers promise; 0 when it is whole.

    The loader maps a file that was cut off without complaint, and dies of SIGBUS when it looks into it.
    """
    with open(path, "rb") as file:
        image = file.read(1 << 16)
        size = file.seek(0, 2)
    order = ">" if image[5] == 2 else "<"
    try:
        (start,) = struct.unpack_from(order + "Q", image, 32)
        each, count = struct.unpack_from(order + "HH", image, 54)
        ends = [sum(struct.unpack_from(order + "8xQ16xQ", image, start + at * each)) for at in range(count)]
    except struct.error:
        return 1  # not even the headers are there
    return max(0, max(ends, default=0) - size)


def functions(path: str) -> List[str]:
    """The names of the functions that a 64-bit library exports; none where they can't be read."""
    try:
        with open(path, "rb") as file:
            return _functions(file.read())
    except (OSError, struct.error, IndexError, ValueError):
        return []


def _functions(image: bytes) -> List[str]:
    order = ">" if image[5] == 2 else "<"
    if image[4] != 2:
        return []
    start, size, count = _sections(image, order)
    sections = [struct.unpack_from(order + "IIQQQQIIQQ", image, start + at * size) for at in range(count)]
    for section in sections:
        if section[1] == _DYNSYM:
            names = sections[section[6]]
            text = image[names[4] : names[4] + names[5]]
            table = image[section[4] : section[4] + section[5]]
            return sorted(set(_defined(table, text, order)))
    return []


def _sections(image: bytes, order: str) -> Tuple[int, int, int]:
    (start,) = struct.unpack_from(order + "Q", image, 40)
    size, count = struct.unpack_from(order + "HH", image, 58)
    return start, size, count


def _defined(table: bytes, text: bytes, order: str) -> List[str]:
    symbols = struct.Struct(order + "IBBHQQ").iter_unpack(table)
    return [
        text[name : text.index(b"\0", name)].decode("utf-8", "replace")
        for name, info, _, section, _, _ in symbols
        if section and info >> 4 in _GLOBAL and info & 15 in _FUNCTIONS
    ]


def plain_name(symbol: str) -> Optional[str]:
    """The last name in a symbol of the Itanium C++ ABI: ``_ZN3foo7processEPv`` -> ``process``; else None."""
    if not symbol.startswith("_Z"):
        return None
    at, found = 3 if symbol.startswith("_ZN") else 2, None
    while True:
        digits = re.compile(r"[KVrRO]*(\d+)").match(symbol, at)
        if digits is None:
            return found
        at = digits.end() + int(digits[1])
        found = symbol[digits.end() : at]
        if not symbol.startswith("_ZN"):
            return found
