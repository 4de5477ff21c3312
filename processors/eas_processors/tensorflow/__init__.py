"""The preset ``tensorflow*``: models of TensorFlow 1 and 2 on the TensorFlow of today.

SavedModels, frozen graphs and Keras files all end up as a graph in a session (session.py), which is how the
cloud's processor and TensorFlow Serving run them: several threads call it at once, a call costs some
microseconds of Python, and graphs of TensorFlow 1 run as they are, reference variables included.

=================  ===============================================================================
locate.py          which file or folder is the model, and of which format
options.py         the keys of ``model_config``
runtime.py         the import of TensorFlow; threads, devices, what it prints
session.py         a graph and its session: feeds, fetches, TensorFlow's errors
saved_model.py     SavedModels and their signatures
frozen_graph.py    ``.pb`` files without signatures
keras_file.py      ``.keras`` and ``.h5``, made SavedModels
=================  ===============================================================================
"""

from __future__ import annotations

from eas_processors.tensorflow.preset import Preset

__all__ = ["Preset"]
