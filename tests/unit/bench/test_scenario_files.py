"""Scenario files: those of this project, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eas_bench import places
from eas_bench.scenarios import files, session
from eas_bench.scenarios.measuring import MEASURES

W2 = (places.SCENARIOS / "W2.toml").read_text()


def test_there_is_a_file_for_each_scenario_of_the_project() -> None:
    names = list(files.every())
    assert names[:9] == [f"W{number}" for number in range(1, 10)]
    assert set(names[9:]) == {"cost", "cpp", "cpp-class", "health", "java", "loops"}


def test_the_bars_are_those_that_were_asked_for() -> None:
    asked = {
        bar.key: (bar.sense, bar.limit, bar.unit)
        for scenario in files.every().values()
        for bar in scenario.bars
        if bar.limit is not None
    }
    assert asked == {
        "W1-64": ("at least", 0.6, ""),
        "W1-16": ("at least", 0.5, ""),
        "W1-1": ("at most", 2.2, ""),
        "W1-cost": ("at most", 1.8, ""),
        "W2": ("at least", 0.8, ""),
        "W3-mosec": ("at least", 1.4, ""),
        "W3-alone": ("at least", 0.8, ""),
        "W4-health": ("under", 50, "ms"),
        "W5-successes": ("at least", 0.97, ""),
        "W5-p99": ("at most", 158, "ms"),
        "W5-refusals": ("at most", 10, "ms"),
        "W5-broken": ("at most", 0, "connections"),
        "W6-wrong": ("at most", 0, "answers"),
        "W6-failed": ("at most", 0, "requests"),
        "W7-wrong": ("at most", 0, "faults"),
        "W7-lost": ("at most", 2, "requests"),
        "W7-retry": ("at most", 0, "requests"),
        "W7-kills": ("at least", 10, "instances"),
        "W8-failed": ("at most", 0, "requests"),
        "W8-wrong": ("at most", 0, "faults"),
        "W9-start": ("under", 0.7, "s"),
        "W9-idle": ("under", 60, "MB"),
        "cost-body": ("at most", 1.2, "(exponent)"),
        "cost-instances": ("at most", 1.2, "(exponent)"),
        "cost-idle": ("at most", 1.2, "(exponent)"),
        "cost-queue": ("at most", 1.2, "(exponent)"),
        "cpp": ("at least", 1.0, ""),
        "cpp-class": ("at least", 1.0, ""),
        "java": ("at least", 0.8, ""),
        "health": ("under", 50, "ms"),
    }


def test_the_bar_of_the_overload_is_its_queue_over_its_capacity_and_30_ms() -> None:
    service = json.loads((places.PROCESSORS / "sleep" / "service.json").read_text())
    rpc = service["metadata"]["rpc"]
    capacity = rpc["worker_threads"] / 0.010
    (bar,) = (bar for bar in files.every()["W5"].bars if bar.key == "W5-p99")
    assert bar.limit == rpc["max_queue_size"] / capacity * 1000 + 30


def test_every_file_names_a_processor_a_reference_and_a_kind_that_are_there() -> None:
    for name, scenario in files.every().items():
        assert scenario.kind in MEASURES
        assert not scenario.processor or (places.PROCESSORS / scenario.processor).is_dir(), name
        if isinstance(scenario, files.Turns):
            assert not scenario.beside or (places.PROCESSORS / scenario.beside).is_dir()
            assert (
                not scenario.reference or (places.BENCHMARKS / f"reference/{scenario.reference}.py").exists()
            )


def test_all_of_them_take_less_than_ten_minutes() -> None:
    assert sum(session.seconds_of(one, session.Plan()) for one in files.every().values()) < 600


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (
            'figure = "rate-16"',
            'figure = "rate-64"',
            "W2: no figure 'rate-64'; there are rate-16, p50-16, cpu-16",
        ),
        ('client = "wrk"', 'client = "ab"', "client: Input should be 'wrk'"),
        (
            'reference = "large"',
            'reference = "large"\nopen_loop = {share = 1, connections = 1}',
            "less than 1",
        ),
        (
            'reference = "large"',
            'reference = "large"\nopen_loop = {share = 0.5, connections = 1}',
            "its rate",
        ),
        ('kind = "turns"', 'kind = "turn"', "the file: Input tag 'turn'"),
        ("connections = [16]", "connections = []", "connections: List should have at least 1"),
        ("body_bytes = 602112", "body_bytes = 6021120", "body_bytes: Input should be less than or equal"),
        ('reference = "large"', 'reference = "large"\nbeside = "echo"', "exclude each other"),
        ('reference = "large"', 'reference = "large"\ncolour = "red"', "colour: Extra inputs"),
        ('title = "600 KB in, 4 KB out"', "title =", "is no TOML"),
    ],
)
def test_what_is_no_scenario_is_refused_with_its_place(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    assert before in W2
    path = tmp_path / "W2.toml"
    path.write_text(W2.replace(before, after))
    with pytest.raises(files.NoScenario) as refusal:
        files.read(path)
    assert str(path) in str(refusal.value)
    assert complaint in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(files.NoScenario, match=r"nothing\.toml: can't be read"):
        files.read(tmp_path / "nothing.toml")


def test_two_figures_do_not_share_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("W2", "again"):
        (tmp_path / f"{name}.toml").write_text(W2)
    monkeypatch.setattr(places, "SCENARIOS", tmp_path)
    with pytest.raises(files.NoScenario, match="again and W2 both have a figure with the key W2"):
        files.every()


def test_an_open_loop_needs_somebody_beside_it(tmp_path: Path) -> None:
    alone = (places.SCENARIOS / "health.toml").read_text()
    path = tmp_path / "health.toml"
    path.write_text(alone.replace("[[bars]]", "[open_loop]\nshare = 0.5\nconnections = 64\n\n[[bars]]", 1))
    with pytest.raises(files.NoScenario, match="open_loop needs a reference"):
        files.read(path)
