"""The keys of ``model_config`` that this preset knows; the text is a JSON object.

=====================  ======  =======================================================================
``intra_op_threads``   number  threads that one operation may use, shared by all requests.
                               Default: OMP_NUM_THREADS, else 1
``inter_op_threads``   number  threads that run the operations of a graph side by side. 1, the default:
                               a request's operations run one after the other in its worker thread
``signature_name``     text    the signature of requests that name none, instead of
                               ``serving_default``
``tags``               list    the tags of the SavedModel's graph; default ``["serve"]``
=====================  ======  =======================================================================

Services written for the cloud have keys of its processor there, so a key that isn't here is no error: a
warning names it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from eas_processors import threads
from eas_processors.model_config import Key, read_config

_LOG = logging.getLogger(__name__)
KEYS = {**threads.KEYS, "signature_name": Key(str), "tags": Key(list, items=str)}


@dataclass(frozen=True, slots=True)
class Options:
    """See the table above."""

    intra_op_threads: int = 1
    inter_op_threads: int = 1
    signature_name: str = ""
    tags: tuple[str, ...] = ("serve",)


def read(model_config: str) -> Options:
    """What the text says; ``ValueError`` for what is no JSON object, or a value of the wrong kind."""
    given = read_config(_known(model_config), KEYS)
    return Options(
        intra_op_threads=threads.threads(given),
        inter_op_threads=threads.threads(given, "inter_op_threads"),
        signature_name=given.get("signature_name", ""),
        tags=tuple(given.get("tags", ["serve"])),
    )


def _known(model_config: str) -> str:
    """The text without the keys that aren't ours, which a warning names."""
    try:
        given: Any = json.loads(model_config)
    except ValueError:
        return model_config  # empty, or the reader's to refuse
    if not isinstance(given, dict):
        return model_config
    others = sorted(given.keys() - KEYS.keys())
    if others:
        _LOG.warning("these keys of model_config have no effect: %s", ", ".join(map(repr, others)))
    return json.dumps({key: value for key, value in given.items() if key in KEYS})
