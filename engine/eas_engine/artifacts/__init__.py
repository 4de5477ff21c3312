"""From an address to a directory: where the processor and the model lie on this machine."""

from eas_engine.artifacts.local import Artifacts

__all__ = ["Artifacts"]
