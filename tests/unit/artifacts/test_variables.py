"""What a processor's environment says of the service."""

from __future__ import annotations

import json
from pathlib import Path

from eas_engine.artifacts.local import Artifacts
from eas_engine.artifacts.workspace.variables import LONGEST, notes, variables
from eas_engine.artifacts.workspace.workspace import Workspace

WORKSPACE = Workspace(Path("/s/W"), Path("/s/W/model"), None, notes=("a socket was left out",))
PLAIN = Artifacts(Path("/p"), Path("/p/app.py"), None, "", "", Path("/bin/python"))
WHOLE = Artifacts(
    Path("/p"), Path("/p/app.py"), None, "/s/W/model", "", Path("/bin/python"), workspace=WORKSPACE
)


def test_what_there_is_not_is_absent() -> None:
    assert variables({"name": "a"}, PLAIN) == {"SERVICE_CONFIG": '{"name": "a"}'}
    assert notes({"name": "a"}, PLAIN) == ()


def test_where_things_are() -> None:
    found = variables({"name": "\u00fc"}, WHOLE)
    assert json.loads(found.pop("SERVICE_CONFIG")) == {"name": "\u00fc"}
    assert found == {"EAS_WORKSPACE": "/s/W", "EAS_MODEL_PATH": "/s/W/model"}
    assert notes({}, WHOLE) == WORKSPACE.notes


def test_a_configuration_that_is_too_long_is_left_out_and_that_is_said() -> None:
    longest = {"": "x" * (LONGEST - len(json.dumps({"": ""})))}
    assert "SERVICE_CONFIG" in variables(longest, PLAIN)
    longer = {"": longest[""] + "x"}
    assert "SERVICE_CONFIG" not in variables(longer, PLAIN)
    assert notes(longer, WHOLE)[1:] == (
        "SERVICE_CONFIG is not set, the configuration is too long; see config/config.json",
    )
