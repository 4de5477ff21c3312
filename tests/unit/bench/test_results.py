"""What is kept of a measurement, where, and which is the newest."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from eas_bench import places
from eas_bench.cli import app
from eas_bench.scenarios import report
from eas_bench.scenarios.bars import Bar, Measured, Verdict
from eas_bench.scenarios.measuring import Outcome
from eas_bench.scenarios.results import (
    Averages,
    Figure,
    NoResults,
    Ran,
    Results,
    Settings,
    newest,
    place,
    read,
    write,
)
from eas_bench.scenarios.session import without_place
from eas_bench.scenarios.setting import Result

DAY = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
BAR = Bar("W1-64", "requests/s, engine over bare loop", "at least", 0.6)


def results(*samples: float, taken: dt.datetime = DAY, wavering: float = 1.0) -> Results:
    verdict = Verdict.of(BAR, Measured(samples=samples or (0.7, 0.71, 0.72), wavering=wavering))
    outcome = Outcome((verdict,), Result(raw={"pairs": {}}, faults=[]), 12.34, 0.0567)
    return Results(
        taken=taken,
        machine={"cpu": "A processor", "cores": 2, "kernel": "6.1", "python": "3.11.7"},
        versions={"eas-engine": "0.1.0 (compiled)"},
        settings=Settings(rounds=3, seconds=2, pinned="server on core 0", engine="eas-engine"),
        load_average=Averages(before=[0.1, 0.1, 0.1], after=[1, 0.5, 0.2]),
        figures=[Figure.of("W1", verdict)],
        scenarios={"W1": Ran.of("echo", outcome)},
    )


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "made" / "2026-01-02.json"
    write(results(), path)
    assert read(path) == results()


def test_an_infinite_figure_survives(tmp_path: Path) -> None:
    write(results(float("inf")), tmp_path / "file")
    assert json.loads((tmp_path / "file").read_text())["figures"][0]["value"] == "Infinity"
    assert read(tmp_path / "file").figures[0].value == float("inf")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "; expected a file such as"),
        ("{}", ": taken: Field required"),
        (
            results().model_dump_json().replace("eas-bench.results/1", "eas-bench.run/1"),
            "; expected a file such as",
        ),
        (
            results().model_dump_json().replace('"met":true', '"met":true,"x":1'),
            ": figures.0.x: Extra inputs",
        ),
    ],
)
def test_another_file_is_refused_with_its_place(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(NoResults) as refusal:
        read(path)
    assert f"{path}: isn't what `eas-bench scenario` keeps{complaint}" in str(refusal.value)


def test_a_second_measurement_of_a_day_takes_nothings_place(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = place(tmp_path, DAY.date())
        names.append(path.name)
        write(results(), path)
    assert names == ["2026-01-02.json", "2026-01-02-2.json", "2026-01-02-3.json"]


def test_the_newest_is_what_was_taken_last_whatever_its_name(tmp_path: Path) -> None:
    write(results(taken=DAY + dt.timedelta(days=3)), tmp_path / "a.json")
    write(results(taken=DAY), tmp_path / "z.json")
    assert newest(tmp_path).name == "a.json"
    assert newest(tmp_path, other_than=tmp_path / "a.json").name == "z.json"


def test_all_is_good_only_when_every_bar_is_met_and_nothing_went_wrong() -> None:
    assert results().good
    assert not results(0.5).good
    ended_badly = Ran(title="echo", seconds=1, cores_taken_by_others=0, faults=["exited with 1"], raw={})
    assert not results().model_copy(update={"scenarios": {"W1": ended_badly}}).good


def test_the_readme_tells_every_field() -> None:
    told = (places.RESULTS / "README.md").read_text()
    models: list[type[BaseModel]] = [Results, Settings, Averages, Figure, Ran]
    for model in models:
        for name in model.model_fields:
            assert f"`{name}`" in told, f"{model.__name__}.{name}"


def test_whatever_is_kept_in_this_checkout_can_be_read() -> None:
    for path in places.RESULTS.glob("*.json"):
        read(path)


# --- the commands that only read ----------------------------------------------------------------------------


def asked(*arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, list(arguments))
    return told.exit_code, told.output


def test_the_scenarios_are_listed() -> None:
    status, told = asked("scenario", "--list")
    assert status == 0
    assert "W5 overload" in told
    assert asked("scenario", "--list", "--only", "W2")[1] == "W2 600 KB in, 4 KB out\n"


def test_a_scenario_that_is_not_there_is_refused_with_those_that_are() -> None:
    status, told = asked("scenario", "--only", "W1,W99")
    assert status == 2
    assert "no scenario W99; there are W1, W2" in " ".join(told.replace("│", " ").split())


@pytest.mark.parametrize(
    ("now", "status", "state"),
    [
        (results(0.7, 0.71, 0.72), 0, "same"),
        (results(0.5, 0.51, 0.52), 1, "worse"),
        (results(0.9, 0.91, 0.92), 0, "better"),
        (results(0.5, 0.51, 0.52, wavering=2.0), 2, "unreliable"),
    ],
)
def test_a_regression_of_a_ratio_is_an_exit_status(
    tmp_path: Path, now: Results, status: int, state: str
) -> None:
    write(results(), tmp_path / "old.json")
    write(now, tmp_path / "new.json")
    got, told = asked("baseline", str(tmp_path / "new.json"), "--against", str(tmp_path / "old.json"))
    assert got == status
    assert state in told


def test_a_comparison_without_its_file_says_so(tmp_path: Path) -> None:
    status, told = asked("baseline", "--against", str(tmp_path / "none.json"))
    assert status == 2
    assert "none.json: can't be read" in told


def test_a_kept_result_goes_into_the_page_with_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "performance.md"
    page.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")
    monkeypatch.setattr(places, "PERFORMANCE", page)
    write(results(), tmp_path / "kept.json")
    status, told = asked("scenario", "--update-docs", str(tmp_path / "kept.json"))
    assert (status, told) == (0, f"{page} has the figures of {tmp_path / 'kept.json'}\n")
    assert "requests/s, engine over bare loop" in page.read_text()
    assert "(performance-scenarios.svg)" in page.read_text()
    assert (tmp_path / "performance-scenarios.svg").read_text().startswith("<?xml")


def test_a_page_without_markers_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "performance.md"
    page.write_text("nothing")
    monkeypatch.setattr(places, "PERFORMANCE", page)
    write(results(), tmp_path / "kept.json")
    status, told = asked("scenario", "--update-docs", str(tmp_path / "kept.json"))
    assert status == 2
    assert "has no lines" in told
    assert page.read_text() == "nothing"


def test_a_result_doesnt_tell_where_programs_lie() -> None:
    assert without_place("/opt/venv/bin/python3 -m eas_engine") == "python3 -m eas_engine"
