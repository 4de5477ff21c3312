"""service.json: the parameters as types, read from a file and flags, with the origin of every value.

``load`` -> ``Loaded`` (``.spec``, ``.origins``, ``.warnings``); ``startable`` says what keeps it from
starting here. ``spec.check``, ``spec.changes``, ``spec.schema`` and ``spec.document`` aren't imported by a
start.
"""

from eas_engine.spec.effects import startable
from eas_engine.spec.load import Loaded, load, load_text
from eas_engine.spec.machine import Machine, this_machine
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.problems import ConfigurationError, Origin, Problem

__all__ = [
    "ConfigurationError",
    "Loaded",
    "Machine",
    "Origin",
    "Problem",
    "ServiceSpec",
    "load",
    "load_text",
    "startable",
    "this_machine",
]
