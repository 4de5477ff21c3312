"""Scenarios as `make bench` runs them, a round of a second each: not how fast, but that all is measured."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from eas_bench import places
from eas_bench.cli import app
from eas_bench.machine import Cores
from eas_bench.scenarios import files, measuring, session
from eas_bench.scenarios.files import Scenario
from eas_bench.scenarios.load import Clients
from eas_bench.scenarios.measuring import Outcome, Unmeasurable
from eas_bench.scenarios.results import read
from eas_bench.scenarios.setting import Setting

needs_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None or shutil.which("cc") is None,
    reason="no wrk or no C compiler: apt-get install wrk gcc libc6-dev",
)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Without wrk, for who doesn't use it."""
    cores = Cores.of_this_process()
    return Setting(
        rounds=1,
        seconds=1.0,
        clients=Clients("no-wrk", "no-client", tmp_path, cores.load),
        cores=Cores(cores.every, cores.every, cores.every),
        engine=session.ENGINE.split(),
        directory=tmp_path,
        tell=lambda _text: None,
    )


def scenario(name: str, **changed: object) -> Scenario:
    return files.every()[name].model_copy(update=changed)


def values(outcome: Outcome) -> dict[str, float]:
    """By key; nothing went wrong."""
    assert outcome.result.faults == []
    assert [fault for verdict in outcome.verdicts for fault in verdict.faults] == []
    return {verdict.bar.key: verdict.value for verdict in outcome.verdicts}


def test_bodies_of_all_shapes_get_their_own_answers(setting: Setting) -> None:
    told = values(measuring.measure(scenario("W6", connections=4), setting))
    assert (told["W6-wrong"], told["W6-failed"]) == (0, 0)
    assert told["W6-rate"] > 0
    assert told["W6-p99"] > 0


def test_nobody_notices_an_update(setting: Setting) -> None:
    told = values(measuring.measure(scenario("W8", updates=1, connections=4), setting))
    assert (told["W8-failed"], told["W8-wrong"]) == (0, 0)
    assert told["W8-slowest"] > 0


def test_an_update_that_is_refused_is_a_fault(setting: Setting) -> None:
    """The command isn't that of the engine that runs, so it fails."""
    broken = scenario("W8", updates=1, connections=1, processor="soak")
    outcome = measuring.MEASURES["updates"](broken, _without_updates(setting))
    assert outcome.figures["wrong"].samples == [1.0]
    assert "update 1: exit" in outcome.figures["wrong"].faults[0]


def _without_updates(setting: Setting) -> Setting:
    script = setting.directory / "engine"
    script.write_text(f'#!/bin/sh\n[ "$1" = update ] && exit 3\nexec {session.ENGINE} "$@"\n')
    script.chmod(0o755)
    return Setting(
        rounds=1,
        seconds=1.0,
        clients=setting.clients,
        cores=setting.cores,
        engine=[str(script)],
        directory=setting.directory,
        tell=setting.tell,
    )


def test_a_cold_start_and_an_idle_engine_are_measured(setting: Setting) -> None:
    told = values(measuring.measure(scenario("W9", starts=1), setting))
    assert told["W9-start"] > 0
    assert 10 < told["W9-idle"] < 500


def test_a_kill_costs_no_more_than_what_was_begun(setting: Setting) -> None:
    torment = scenario("W7", kills=6, instances=8, connections=8)
    told = values(measuring.measure(torment, setting))
    assert told["W7-wrong"] == told["W7-retry"] == 0
    assert told["W7-lost"] <= 2
    assert told["W7-kills"] >= 2


def test_a_processor_that_answers_something_else_leaves_its_scenario_unmeasured(setting: Setting) -> None:
    with pytest.raises(Unmeasurable, match=r"answered 200 and 3144 bytes .* not what was asked"):
        measuring.measure(scenario("W6", processor="echo"), setting)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer points, so that every kind of scenario that needs wrk is run in a moment."""
    fewer: dict[str, dict[str, object]] = {
        "W1": {
            "connections": [4, 1],
            "open_loop": files.OpenLoop(share=0.5, connections=4),
            "bars": [bar for bar in files.every()["W1"].bars if bar.key in {"W1-1", "W1-open-p99"}],
        },
        "cost": {
            "body_bytes": [64, 1024, 16384],
            "instances": [1, 2, 3],
            "idle_connections": [0, 10, 100],
            "queued": [0, 16, 128],
        },
    }
    whole = files.every()
    told = {name: whole[name].model_copy(update=changes) for name, changes in fewer.items()}
    told.update({name: whole[name] for name in ("W4", "W5")})
    monkeypatch.setattr(files, "every", lambda: told)


@needs_wrk
@pytest.mark.usefixtures("quick")
@pytest.mark.timeout(400)
def test_a_measurement_is_shown_and_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["scenario", "--rounds", "1", "--seconds", "1", "--json", str(kept)]
    done = CliRunner().invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.exit_code in {0, 1}, done.output  # how fast it is here says nothing
    results = read(kept)
    assert results.unmeasured == {}
    assert set(results.scenarios) == {"W1", "W4", "W5", "cost"}
    assert all(figure.value >= 0 for figure in results.figures)
    assert all(figure.value > 0 for figure in results.figures if figure.key in {"W1-1", "W4", "W5-p99"})
    assert {"body", "instances", "idle", "queue", "bare"} == set(results.scenarios["cost"].raw["curves"])
    for text in ("W1 echo of 64 bytes (1 of 4, about", "round 1 of 1", f"Kept in {kept}"):
        assert text in done.output
    assert "unreliable, too few rounds: 1" in done.output


@needs_wrk
@pytest.mark.usefixtures("quick")
def test_ctrl_c_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among what isn't whole, for a baseline must be."""
    monkeypatch.setattr(places, "PARTS", tmp_path)
    real = measuring.measure

    def measure(one: Scenario, setting: Setting) -> Outcome:
        if one.kind == "overload":
            raise KeyboardInterrupt
        return real(one, setting)

    monkeypatch.setattr(session, "measure", measure)
    done = CliRunner().invoke(app, ["scenario", "--rounds", "1", "--seconds", "1", "--only", "W4,W5,cost"])
    assert done.exit_code == 130, done.output
    (kept,) = tmp_path.iterdir()
    results = read(kept)
    assert set(results.scenarios) == {"W4"}
    assert {figure.scenario for figure in results.figures} == {"W4"}
    assert results.unmeasured == dict.fromkeys(("W5", "cost"), session.INTERRUPTED)
    assert "not among the results" in done.output


@needs_wrk
def test_what_cannot_be_measured_does_not_end_the_rest() -> None:
    out = io.StringIO()
    chosen = {name: files.every()[name] for name in ("W9", "health")}
    plan = session.Plan(rounds=1, seconds=1.0, engine="/bin/false")
    results = session.run(chosen, plan, Console(file=out, width=120))
    assert set(results.unmeasured) == {"W9", "health"}
    assert "the engine exited with 1" in results.unmeasured["W9"]
    assert "not measured: the engine exited with 1" in out.getvalue()
