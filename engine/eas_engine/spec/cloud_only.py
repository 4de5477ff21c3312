"""Keys of the cloud that mean nothing on one's own machine: reported as ``no effect here``.

A name stands for itself and everything below it; a trailing ``*`` for every name that begins so. Items of
lists are written ``[]``. They are looked for with and without ``metadata.``.
"""

from __future__ import annotations

import re
from typing import Final

NO_EFFECT_HERE: Final = (
    "group",
    "role",
    "release",
    "region",
    "traffic_state",
    "rdma",
    "dockerAuth",
    "data_image",
    "unit",
    "sinker",
    "confidential",
    "aimaster",
    "cloud.networking",
    "networking.gateway*",
    "rpc.enable_jemalloc",
    "storage[].properties",
    "resource_burstable",
    "cloud.computing.disable_spot_protection_period",
    "cloud.computing.instances[].spot_price_limit",
    "cloud.computing.instances[].capacity",
)

_INDEX: Final = re.compile(r"\[[0-9]+\]")


def has_no_effect_here(path: str) -> bool:
    """Whether ``path``, as written in the file, is one of them."""
    key = _INDEX.sub("[]", path.removeprefix("metadata."))
    for name in NO_EFFECT_HERE:
        if name.endswith("*"):
            if key.startswith(name[:-1]):
                return True
        elif key == name or key.startswith(name + "."):
            return True
    return False
