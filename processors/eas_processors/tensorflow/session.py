"""A graph and its session: arrays in by the names of tensors, arrays out.

``Session.run`` of TensorFlow looks through feeds and fetches anew in every call, which costs more than a
small model. A *callable* is that work done once for one set of feeds and fetches. Clients choose the fetches
(``output_filter``), so callables are kept in a table of bounded size.

Thread-safe: callables may run in any number of threads; the table has a lock, which isn't held while a
callable is made or runs. Two threads may make the same one; the second takes the place of the first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tensorflow.core.protobuf import config_pb2

from eas_processors.tensorflow.errors import short
from eas_processors.tensorflow.options import Options
from eas_processors.tensorflow.runtime import session_config, tf
from eas_processors.tensors.errors import BadRequest

_QUANTIZED = {tf.qint8, tf.quint8, tf.qint16, tf.quint16, tf.qint32}
_KEPT = 64  # callables
_CLIENTS_FAULT = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.UnimplementedError,
)


class _Callable(NamedTuple):
    """What runs, and per feed the numpy type that a quantized tensor wants (None: the array's own)."""

    run: Callable[..., list[Any]]
    quantized: tuple[np.dtype[Any] | None, ...]


class GraphSession:
    """One graph, ready to run when its ``load`` has filled it."""

    def __init__(self, options: Options, device: str) -> None:
        self.graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=self.graph, config=session_config(options, device))
        self._lock = threading.Lock()
        self._callables: OrderedDict[tuple[str | None, ...], _Callable] = OrderedDict()

    def tensor(self, name: str) -> tf.Tensor | None:
        """The tensor ``name:0``, or the first output of the operation ``name``; None: there is none."""
        try:
            return self.graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
        except (KeyError, ValueError):
            return None

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """The values of the tensors ``fetches``, given those of the tensors ``feeds``; full names, ``x:0``.

        Raises:
            BadRequest: TensorFlow says that the values don't fit.
            RuntimeError: it fails for another reason, with the first line of its message.
        """
        names = sorted(feeds)
        wanted = sorted(set(fetches) - feeds.keys())  # TensorFlow refuses to fetch what is fed
        try:
            values = self._run(names, wanted, [feeds[name] for name in names]) if wanted else []
        except _CLIENTS_FAULT as error:
            raise BadRequest(short(error)) from None
        except tf.errors.OpError as error:
            raise RuntimeError(f"{type(error).__name__}: {short(error)}") from error
        found = {name: _array(value) for name, value in zip(wanted, values, strict=True)}
        return [found[name] if name in found else feeds[name] for name in fetches]

    def close(self) -> None:
        """Gives back what the session holds. Nothing runs any more."""
        self._callables.clear()
        self.session.close()

    def _run(self, feeds: list[str], fetches: list[str], arrays: list[np.ndarray]) -> list[Any]:
        """One call of TensorFlow."""
        callable_ = self._callable(feeds, fetches)
        pairs = zip(arrays, callable_.quantized, strict=True)
        return callable_.run(*[_fed(array if dtype is None else array.view(dtype)) for array, dtype in pairs])

    def _callable(self, feeds: list[str], fetches: list[str]) -> _Callable:
        """The callable of these feeds and fetches."""
        key = (*feeds, None, *fetches)
        with self._lock:
            known = self._callables.get(key)
            if known is not None:
                self._callables.move_to_end(key)
                return known
        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        # Public make_callable() runs Session.run() when there are feeds; Keras 2 has used this one for years.
        run = self.session._make_callable_from_options(options)  # noqa: SLF001
        made = _Callable(run, tuple(self._quantized(name) for name in feeds))
        with self._lock:
            self._callables[key] = made
            while len(self._callables) > _KEPT:
                self._callables.popitem(last=False)
        return made

    def _quantized(self, name: str) -> np.dtype[Any] | None:
        """The numpy type of a quantized tensor, None for any other."""
        dtype = self.graph.get_tensor_by_name(name).dtype.base_dtype
        return np.dtype(dtype.as_numpy_dtype) if dtype in _QUANTIZED else None


def _fed(array: np.ndarray) -> np.ndarray:
    """The array as TensorFlow's C interface takes it: native byte order, C order. Most arrays are already."""
    if array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def _array(value: Any) -> np.ndarray:
    """What TensorFlow returns as an array; for scalars it returns the value itself."""
    if isinstance(value, bytes):
        scalar = np.empty((), object)
        scalar[()] = value
        return scalar
    return np.asarray(value)
