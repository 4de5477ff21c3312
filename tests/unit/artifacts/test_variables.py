"""What a processor's environment says of the service."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from eas_engine.artifacts.local import Artifacts
from eas_engine.artifacts.workspace.variables import LONGEST, notes, variables
from eas_engine.artifacts.workspace.workspace import Workspace

WORKSPACE = Workspace(Path("/s/W"), Path("/s/W/model"), None, notes=("a socket was left out",))
PLAIN = Artifacts(Path("/p"), Path("/p/app.py"), None, "", "", Path("/bin/python"))
WHOLE = Artifacts(
    Path("/p"), Path("/p/app.py"), None, "/s/W/model", "", Path("/bin/python"), workspace=WORKSPACE
)


def of(artifacts: Artifacts, **config: object) -> Artifacts:
    return replace(artifacts, config=config)


def test_what_there_is_not_is_absent() -> None:
    assert variables(of(PLAIN, name="a")) == {"SERVICE_CONFIG": '{"name": "a"}'}
    assert notes(of(PLAIN, name="a")) == ()


def test_where_things_are() -> None:
    found = variables(of(WHOLE, name="\u00fc"))
    assert json.loads(found.pop("SERVICE_CONFIG")) == {"name": "\u00fc"}
    assert found == {"EAS_WORKSPACE": "/s/W", "EAS_MODEL_PATH": "/s/W/model"}
    assert notes(WHOLE) == WORKSPACE.notes


def test_a_configuration_that_is_too_long_is_left_out_and_that_is_said() -> None:
    longest = "x" * (LONGEST - len(json.dumps({"a": ""})))
    assert "SERVICE_CONFIG" in variables(of(PLAIN, a=longest))
    longer = of(WHOLE, a=longest + "x")
    assert "SERVICE_CONFIG" not in variables(longer)
    assert notes(longer)[1:] == (
        "SERVICE_CONFIG is not set, the configuration is too long; see config/config.json",
    )
