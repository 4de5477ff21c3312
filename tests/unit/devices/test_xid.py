"""Xids concern whom NVIDIA says they do."""

from __future__ import annotations

import pytest

from eas_engine.devices.xid import Scope, fault

# Of the "Xid Catalog" (A100 to GB200), by its immediate action.
RESET_GPU = (46, 62, 64, 95, 110, 119, 120, 140, 143, 158)
RESTART_APP = (8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 77, 80, 82, 86, 94, 96, 105, 126, 135, 139)
RESTART_MACHINE = (79, 151)
HARMLESS = (14, 63, 92, 93, 106, 107, 121, 154, 157, 160, 161)
DEVICE_PLUGIN = (13, 31, 43, 45, 68, 109)
"""After which NVIDIA's device plugin for Kubernetes goes on using the card."""


@pytest.mark.parametrize(
    ("xids", "scope"),
    [
        (RESET_GPU, "gone"),
        (RESTART_MACHINE, "gone"),
        (RESTART_APP, "process"),
        (HARMLESS, "note"),
        (DEVICE_PLUGIN, "process"),
        ((61,), "note"),  # "PMU Breakpoint (non-fatal)" in nverror.h
        ((48, 74, 144, 150, 155, 156, 171, 172), "card"),
        ((9999,), "process"),
    ],
)
def test_an_xid_concerns_whom_the_catalogue_says(xids: tuple[int, ...], scope: Scope) -> None:
    assert {xid: fault("GPU-0", xid).scope for xid in xids} == dict.fromkeys(xids, scope)
    assert all(fault("GPU-0", xid).text.startswith(f"Xid {xid}: ") for xid in xids)
