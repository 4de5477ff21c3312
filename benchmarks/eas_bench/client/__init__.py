"""The load generator: :func:`measure` sends a load to a server and gives the record of what became of it."""

from __future__ import annotations

from eas_bench.client.first import first_answer
from eas_bench.client.limit import own_limit
from eas_bench.client.measuring import NotMeasured, measure, whole

__all__ = ["NotMeasured", "first_answer", "measure", "own_limit", "whole"]
