"""The preset's class; see the package's first lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from eas_processors.tensorflow import frozen_graph, keras_file, options, runtime, saved_model
from eas_processors.tensorflow.locate import Format, locate
from eas_processors.tensors.base import TensorPreset
from eas_processors.tensors.model import Model
from eas_processors.tensors.protocol import Protocol
from eas_processors.tensors.wire_tensorflow import TENSORFLOW

Loaded = saved_model.SavedModel | frozen_graph.FrozenGraph
_LOADERS: dict[Format, Callable[[Path, options.Options, str], Loaded]] = {
    Format.SAVED_MODEL: saved_model.load,
    Format.FROZEN_GRAPH: frozen_graph.load,
    Format.KERAS: keras_file.load,
}


class Preset(TensorPreset):
    """Serves one model of TensorFlow."""

    protocol: ClassVar[Protocol] = TENSORFLOW

    def load(self, model_entry: str, model_config: str) -> Model:
        """The model that ``model_entry`` leads to.

        Raises:
            ModelUnusable: there is none, it can't be loaded, or ``model_config`` says what can't be.
        """
        wanted = options.read(model_config)
        found = locate(model_entry)
        runtime.set_up(wanted, self.device)
        self._loaded = _LOADERS[found.format](found.path, wanted, self.device)
        return self._loaded

    def close(self) -> None:
        """Gives back what the session holds."""
        self._loaded.close()
