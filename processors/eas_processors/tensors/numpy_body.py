"""Bodies that ``numpy.save`` and ``numpy.savez`` write (ours).

An ``.npz`` names the inputs; one whose arrays are called ``arr_0``, ``arr_1``, ... (``savez`` without names)
holds them in order, and an ``.npy`` is the only input. The signature and the filter are in the query:
``?signature_name=...&output_filter=a,b``. Answers: ``.npz``, or ``.npy`` if the request was one and there is
one output.

Pickles are never read, so arrays of objects are refused; strings are arrays of numpy's ``S`` or ``U``. No
size is believed: the arrays must be as large as their bytes, and an archive must not unpack to more than
``MOST_UNPACKED`` bytes. The array of an ``.npy`` is a view of the body.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter

import numpy as np
from numpy.lib import format as npy

from eas_processors.tensors import dtypes
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Form
from eas_processors.tensors.shapes import shaped

CONTENT_TYPES = {Form.NPY: "application/x-npy", Form.NPZ: "application/x-npz"}
MAGIC = {Form.NPY: b"\x93NUMPY", Form.NPZ: b"PK\x03\x04"}
MOST_UNPACKED = 1 << 30
"""Bytes of all arrays of an archive together; the engine's own limit for bodies is the same by default."""


def decode(body: memoryview, form: Form) -> Arrays:
    """The arrays of a body."""
    if form is Form.NPY:
        return [_read(body, "the body")]
    arrays = _members(body)
    order = [f"arr_{index}" for index in range(len(arrays))]
    if arrays and sorted(arrays) == sorted(order):
        return [arrays[name] for name in order]
    return arrays


def _members(body: memoryview) -> dict[str, np.ndarray]:
    """The arrays of an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > MOST_UNPACKED:
                raise BadRequest(f"the .npz unpacks to {size} bytes; at most {MOST_UNPACKED} are read")
            names = [member.filename.removesuffix(".npy") for member in members]
            for name, count in Counter(names).items():
                if count > 1:
                    raise BadRequest(f"the .npz has {name!r} {count} times")
            return {
                name: _read(memoryview(archive.read(member)), f"{member.filename!r} of the .npz")
                for name, member in zip(names, members, strict=True)
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise BadRequest(f"the body is no .npz archive that can be read: {error}") from None


def _read(data: memoryview, what: str) -> np.ndarray:
    """One array, in native byte order; strings as arrays of bytes objects."""
    dtype, shape, fortran, values = _header(data, what)
    if dtype.kind not in "biufcSU" or not dtype.itemsize:
        raise BadRequest(
            f"{what} holds {dtype!r:.60}: only numbers, bools and strings are read, never pickles"
        )
    if len(values) % dtype.itemsize:
        raise BadRequest(f"{what} is truncated")
    try:
        array = shaped(np.frombuffer(values, dtype), tuple(reversed(shape)) if fortran else shape)
    except BadRequest as error:
        raise BadRequest(f"{what}: {error}") from None
    if dtype.kind in "SU":
        array = _strings(array, what)
    return (array.T if fortran else array).astype(array.dtype.newbyteorder("="), copy=False)


def _header(data: memoryview, what: str) -> tuple[np.dtype, tuple[int, ...], bool, memoryview]:
    """Type, shape, whether in Fortran order, and the bytes of the values."""
    file = io.BytesIO(data[:_MOST_HEADER])
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file, max_header_size=_MOST_HEADER)
    except Exception as error:  # noqa: BLE001 - numpy's parser lets through whatever Python's own raises
        raise BadRequest(f"{what} is no .npy array: {error}") from None
    return dtype, shape, fortran, data[file.tell() :]


_MOST_HEADER = 10_000  # numpy's own limit


def _strings(array: np.ndarray, what: str) -> np.ndarray:
    """``S`` and ``U`` as bytes objects; ``U`` as UTF-8."""
    flat = array.reshape(-1).tolist()
    strings = np.empty(len(flat), object)
    try:
        strings[:] = [value.encode() if isinstance(value, str) else value for value in flat]
    except UnicodeEncodeError:
        raise BadRequest(f"{what} has a string with a lone surrogate, which is no character") from None
    return strings.reshape(array.shape)


def encode(outputs: Arrays, form: Form) -> tuple[bytes, Form]:
    """The answer's body and its form."""
    named = outputs if isinstance(outputs, dict) else {f"arr_{i}": array for i, array in enumerate(outputs)}
    arrays = {name: _writable(name, array) for name, array in named.items()}
    file = io.BytesIO()
    if form is Form.NPY and len(arrays) == 1:
        np.save(file, next(iter(arrays.values())), allow_pickle=False)
        return file.getvalue(), Form.NPY
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
    return file.getvalue(), Form.NPZ


def _writable(name: str, array: np.ndarray) -> np.ndarray:
    """An output in a type that .npy files have."""
    if dtypes.name_of(array.dtype) == "DT_BFLOAT16":
        return array.astype(np.float32)
    if array.dtype.kind != "O":
        return array
    if any(value.endswith(b"\0") for value in array.reshape(-1).tolist()):
        raise BadRequest(f"output {name!r} has strings that end in NUL, which .npy can't hold; JSON can")
    return array.astype(np.bytes_)
