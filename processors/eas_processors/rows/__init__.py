"""Presets whose models take rows of a table: JSON lists or objects in, a JSON list of as many results out.

``base.RowPreset`` is what such a preset derives from; ``table`` reads requests, ``answer`` writes answers.
"""

from eas_processors.rows.base import Model, RowPreset
from eas_processors.rows.table import BadRows, Column, Columns

__all__ = ["BadRows", "Column", "Columns", "Model", "RowPreset"]
