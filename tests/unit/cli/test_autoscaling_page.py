"""What docs/autoscaling.md shows: its service is one, and its figures are those of the simulation."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from eas_engine.cli.app import app
from support.repository import ROOT
from support.services import read

TEXT = (ROOT / "docs" / "autoscaling.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {re.escape(name)} -->\n\n```\w*\n(.*?)\n```", TEXT, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_its_service_is_read_without_a_word(tmp_path: Path) -> None:
    loaded = read(tmp_path, block("service.json"))
    assert loaded.warnings == ()
    assert loaded.spec.start_count == 2


def test_its_figures_are_what_the_command_says(tmp_path: Path) -> None:
    (tmp_path / "service.json").write_text(block("service.json"))
    (tmp_path / "load.csv").write_text(block("load.csv"))
    command = re.search(r"`eas-engine (autoscale simulate service\.json --trace load\.csv [^`]*)`", TEXT)
    assert command is not None
    plain = shlex.split(command.group(1).replace("service.json", f"{tmp_path}/service.json"))
    plain = [one.replace("load.csv", f"{tmp_path}/load.csv") for one in plain]
    table = TEXT[TEXT.index("<!-- figures -->") :].split("\n\n")[1].splitlines()[2:]
    assert len(table) == 4
    for row in table:
        settings, refused, over, hours = (cell.strip() for cell in row.strip("|").split("|"))
        more = shlex.split(settings.strip("`")) if settings.startswith("`") else []
        result = CliRunner().invoke(app, [*plain, *more, "--json"])
        assert result.exit_code == 0, result.output
        figures = json.loads(result.stdout)["figures"]
        found = [
            figures["refused_450"],
            figures["seconds_over_capacity"],
            round(figures["instance_hours"], 2),
        ]
        assert found == [float(refused), int(over), float(hours)], settings
