"""Peers beside ours: what is asked, what is kept, the verdicts, the page, and the forms of requests."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from eas_bench import places
from eas_bench.cli import app
from eas_bench.peers import bars, catalogue, page, record, sitting, starting
from eas_bench.peers.peer import Environment, Peer, Place, Start
from eas_bench.peers.record import Batch, Began, Figures, NoRecord, Record
from eas_bench.peers.sides import BARE, ENGINE
from eas_bench.peers.work import ROW, SCENARIOS, SMALL
from eas_bench.scenarios.figures import ClosedRun, WrkRun

BEGUN = "2026-01-02 03:00:00 UTC"
LATER = "2026-01-02 03:04:05 UTC"
FITS = {"W1": (64, 16, 1), "W2": (16,), "W3": (64,), "W4": (16,), "W5": (60, 256)}


def a_run(rate: float, **changes: object) -> Figures:
    return Figures(rate=rate, p50_ms=1.0, p99_ms=2.0, cpu_us=10.0).model_copy(update=changes)


def a_batch(scenario: str, rates: dict[str, float], *, rounds: int = 3, **changes: object) -> Batch:
    told = {name: a_run(rate) for name, rate in {BARE: 100_000.0, **rates}.items()}
    batch = Batch(
        scenario=scenario,
        taken=LATER,
        rounds=rounds,
        seconds=2,
        began={name: Began(seconds=1.5, resident_mb=120, processes=4) for name in told},
        turns={connections: [told] * rounds for connections in FITS[scenario]},
    )
    return batch.model_copy(update=changes)


def a_record(*batches: Batch) -> Record:
    return Record(
        begun=BEGUN,
        machine={"cpu": "A processor", "cores": 2, "kernel": "6.1", "python": "3.11.7"},
        versions={"eas-engine": "0.1.0", "mosec": "0.9.8"},
        pinned="servers on core 0, load on core 1",
        rounds=3,
        seconds=2,
        batches=list(batches),
    )


# --- what is kept -----------------------------------------------------------------------------------------


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    kept = a_record(a_batch("W1", {ENGINE: 40_000, "mosec": 5_000}))
    record.write(tmp_path / "deep" / "peers.json", kept)
    assert record.read(tmp_path / "deep" / "peers.json") == kept
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["peers.json"]


def test_no_file_is_no_record_and_a_strange_one_is_an_error(tmp_path: Path) -> None:
    assert record.read(tmp_path / "none.json") is None
    (tmp_path / "other.json").write_text('{"format": "eas-bench.run/1"}')
    with pytest.raises(NoRecord, match=r"other\.json: isn't what `eas-bench peers` keeps: format"):
        record.read(tmp_path / "other.json")


def test_a_sitting_goes_on_with_what_it_has_not_measured() -> None:
    absent = a_batch("W1", {ENGINE: 40_000}, absent={"ray": "exited with 1"})
    kept = a_record(absent, a_batch("W1", {ENGINE: 40_000, "mosec": 5_000}))
    assert kept.missing("W1", ["mosec", "ray", "triton"]) == ["ray", "triton"]
    assert kept.missing("W2", ["mosec"]) == ["mosec"]
    earlier = kept.model_copy(update={"begun": "2026-02-01 00:00:00 UTC"})
    assert earlier.missing("W1", ["mosec"]) == ["mosec"], "what an earlier sitting measured counts no more"


def test_a_new_batch_replaces_what_it_covers_and_nothing_else() -> None:
    one = a_batch("W1", {ENGINE: 1, "mosec": 1, "triton": 1})
    kept = a_record(one, a_batch("W2", {ENGINE: 1, "mosec": 1}))
    part = a_batch("W1", {ENGINE: 2, "mosec": 2})
    both = kept.with_batch(part)
    assert [batch.scenario for batch in both.batches] == ["W1", "W2", "W1"]
    assert both.pairs("W1", 64, "mosec", ENGINE)[0].reference.rate == 2
    assert both.pairs("W1", 64, "triton", ENGINE)[0].reference.rate == 1
    whole = both.with_batch(one)
    assert [batch.scenario for batch in whole.batches] == ["W2", "W1"]


def test_runs_of_either_client_become_the_same_figures() -> None:
    wrk = WrkRun(requests=1000, seconds=2, p50_ms=1, p99_ms=3, max_ms=9, errors={"status": 100, "read": 2})
    asked = Figures.of_wrk(wrk)
    assert (asked.rate, asked.refusals, asked.broken) == (450, 50, 2)
    closed = ClosedRun.parse(
        json.dumps(
            {
                "seconds": 2.0,
                "resets": 1,
                "refused": 0,
                "cut": 2,
                "reconnects": 3,
                "oldest_ms": 1.0,
                "statuses": {
                    "200": {"count": 800, "p50_ms": 100, "p99_ms": 150, "max_ms": 160},
                    "503": {"count": 2000, "p50_ms": 1, "p99_ms": 7, "max_ms": 8},
                },
            }
        )
    )
    told = Figures.of_closed(closed)
    assert (told.rate, told.p99_ms, told.refusals, told.refusals_p99_ms, told.broken) == (
        400,
        150,
        1000,
        7,
        3,
    )


# --- verdicts ---------------------------------------------------------------------------------------------


def verdicts_of(kept: Record) -> dict[str, Any]:  # value, met, reliable
    told = bars.verdicts(kept, catalogue.DEFAULT)
    return {verdict.bar.key: (verdict.value, verdict.met, verdict.reliable) for verdict in told}


def test_a_ratio_is_of_rounds_that_both_took_part_in() -> None:
    told = verdicts_of(a_record(a_batch("W1", {ENGINE: 40_000, "mosec": 5_000, "triton": 20_000})))
    assert told["W1-64-mosec"] == (8, True, True)
    assert told["W1-64-triton"] == (2, False, True)
    assert told["W1-1-mosec"] == (1, True, True)  # the same p50
    assert "W2-16-triton" not in told


def test_few_rounds_a_wavering_peer_and_a_busy_machine_are_doubts() -> None:
    few = a_record(a_batch("W2", {ENGINE: 9_000, "triton": 3_000}, rounds=2))
    assert verdicts_of(few)["W2-16-triton"] == (3, True, False)
    rounds = [{ENGINE: a_run(9), "triton": a_run(rate)} for rate in (1, 2, 3)]
    wavering = a_record(a_batch("W2", {ENGINE: 1, "triton": 1}, turns={16: rounds}))
    assert not verdicts_of(wavering)["W2-16-triton"][2]
    busy = [{ENGINE: a_run(9), "triton": a_run(3, others=0.5)}] * 3
    assert not verdicts_of(a_record(a_batch("W2", {ENGINE: 1, "triton": 1}, turns={16: busy})))[
        "W2-16-triton"
    ][2]


def test_a_request_of_ours_that_failed_meets_no_bar() -> None:
    rounds = [{ENGINE: a_run(9_000, broken=1), "triton": a_run(1_000)}] * 3
    told = verdicts_of(a_record(a_batch("W2", {ENGINE: 1, "triton": 1}, turns={16: rounds})))
    assert told["W2-16-triton"] == (9, False, True)


def test_pure_python_is_held_against_the_best_of_all() -> None:
    rounds = [{ENGINE: a_run(800, health_p99_ms=12.0), "mosec": a_run(750), "ray": a_run(820)}] * 3
    told = verdicts_of(a_record(a_batch("W4", {ENGINE: 1, "mosec": 1, "ray": 1}, turns={16: rounds})))
    assert told["W4-best"][0] == pytest.approx(800 / 820)
    assert not told["W4-best"][1]
    assert told["W4-health"] == (12, True, True)


def flooded(engine: Figures, peer: Figures) -> Record:
    calm = [{ENGINE: a_run(490), "mosec": a_run(450)}] * 3
    turns = {60: calm, 256: [{ENGINE: engine, "mosec": peer}] * 3}
    return a_record(a_batch("W5", {ENGINE: 1, "mosec": 1}, turns=turns))


GOOD = a_run(485, p99_ms=150.0, refusals=9_000.0, refusals_p99_ms=8.0)


def test_a_flood_is_judged_by_three_figures_and_by_what_peers_do() -> None:
    told = verdicts_of(flooded(GOOD, a_run(155, p99_ms=850.0, refusals=1.0, refusals_p99_ms=280.0)))
    assert told["W5-kept"][0] == pytest.approx(485 / 490)
    assert told["W5-kept"][1]
    assert told["W5-success-p99"][:2] == (150, True)
    assert told["W5-refusal-p99"][:2] == (8, True)
    assert told["W5-peers"][:2] == (0, True)


def test_a_peer_that_does_all_three_is_told() -> None:
    (last,) = (one for one in bars.verdicts(flooded(GOOD, GOOD), ["mosec"]) if one.bar.key == "W5-peers")
    assert last.value == 1
    assert last.faults == ("mosec does",)


def test_a_flood_in_which_nobody_was_refused_was_none() -> None:
    assert not verdicts_of(flooded(a_run(485, p99_ms=150.0), GOOD))["W5-kept"][1]


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_has_everybody_and_says_who_is_not_there() -> None:
    kept = a_record(
        a_batch("W1", {ENGINE: 40_000, "mosec": 5_000}),
        a_batch("W1", {ENGINE: 40_000}, absent={"ray": "exited with 1: no room"}),
        flooded(GOOD, GOOD).batches[0],
    )
    text = page.update(
        f"before\n{page.BEGIN}\nold\n{page.END}\nafter", page.markdown(kept, catalogue.PEERS, "p.svg")
    )
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert "\nold\n" not in text
    rows = {
        line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| ")
    }
    assert "5,000 (8)" in rows["mosec"]
    assert "not there" in rows["Ray Serve"]
    assert "100,000 (0.400)" in rows[BARE]
    assert "| 485 | 1.08 |" in rows["mosec"]
    assert "Not there in W1: exited with 1: no room" in text
    assert all(peer.title in text for peer in catalogue.PEERS.values() if not peer.variant_of)
    assert {panel.title for panel in page.panels(kept, catalogue.PEERS)} >= {
        "W1, 64 connections",
        "W5: p99 of successes",
    }


def test_a_page_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        page.update("words", "figures")


# --- the peers --------------------------------------------------------------------------------------------


def test_every_peer_has_pinned_and_hashed_requirements() -> None:
    for peer in catalogue.PEERS.values():
        text = (places.BENCHMARKS / "peers" / "requirements" / f"{peer.installation}.txt").read_text()
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert any(line.startswith((f"{peer.package}==", f"{peer.package}[")) for line in pins)
        assert all("==" in line and line.endswith("\\") for line in pins)
        assert "://" not in text
        assert not any(line.startswith("torch==") for line in pins), "torch comes from requirements/torch.txt"


def test_every_adapter_compiles_and_has_a_peer() -> None:
    folders = {file.parent.name: file for file in (places.BENCHMARKS / "peers").glob("*/*.py")}
    assert folders.keys() == {peer.name for peer in catalogue.PEERS.values() if not peer.variant_of}
    for file in (places.BENCHMARKS / "peers").rglob("*.py"):
        compile(file.read_text(), str(file), "exec")


def test_variants_are_of_somebody_and_measured_only_when_asked_for() -> None:
    for peer in catalogue.PEERS.values():
        assert not peer.variant_of or catalogue.PEERS[peer.variant_of].installation == peer.installation
        assert (peer.name in catalogue.DEFAULT) == (peer.always or not peer.variant_of)
        assert set(peer.only) <= SCENARIOS.keys()


def test_who_takes_turns_together() -> None:
    told = [
        [peer.name for peer in group]
        for group in sitting.groups([catalogue.PEERS[name] for name in catalogue.DEFAULT])
    ]
    assert told == [
        ["triton", "mosec", "triton-batched", "mosec-batched"],
        ["torchserve", "litserve", "mlserver", "bentoml"],
        ["ray"],
    ]


def place_in(directory: Path, work: str) -> Place:
    environment = Environment(directory / "environment", {})
    packages = environment.directory / "lib" / "python3.11" / "site-packages"
    bundled = packages / "pytriton" / "tritonserver"
    stub = bundled / "python_backend_stubs" / "3.11"
    for folder in (stub, bundled / "backends" / "python", directory / "own"):
        folder.mkdir(parents=True)
    (stub / "triton_python_backend_stub").touch()
    (environment.directory / "pyvenv.cfg").write_text("home = /opt/python/bin\nversion = 3.11.7\n")
    return Place(work, 1234, directory / "own", environment)


SIMPLE: list[Peer] = [
    catalogue.PEERS[name] for name in ("triton", "mosec", "litserve", "mlserver", "bentoml", "ray")
]


@pytest.mark.parametrize("work", ["echo", "large", "mlp", "spin", "sleep"])
@pytest.mark.parametrize("peer", SIMPLE, ids=lambda peer: str(peer.name))
def test_every_start_names_a_program_of_its_environment_and_a_port(
    tmp_path: Path, peer: Peer, work: str
) -> None:
    start = peer.start(place_in(tmp_path, work))
    assert start.command[0].startswith(str(tmp_path))
    assert start.path.startswith("/")
    texts = [*start.command, *(file.read_text() for file in (tmp_path / "own").glob("*.json"))]
    assert any("1234" in text for text in texts)


def test_triton_has_a_bounded_queue_only_in_its_batcher(tmp_path: Path) -> None:
    starting.triton(place_in(tmp_path, "sleep"))
    config = (tmp_path / "own" / "models" / "m" / "config.pbtxt").read_text()
    assert "max_batch_size: 1\n" in config
    assert "count: 5" in config
    assert "max_queue_size: 64" in config


def test_json_carries_bodies_as_they_are(tmp_path: Path) -> None:
    start: Start = starting.mlserver(place_in(tmp_path, "echo"))
    sent = json.loads(start.encode(SMALL))["inputs"][0]["data"][0]
    assert base64.b64decode(sent) == SMALL
    assert start.decode(json.dumps({"outputs": [{"data": [sent]}]}).encode()) == SMALL


@pytest.mark.parametrize("start", [starting.mlserver, starting.bentoml])
def test_rows_travel_as_numbers_and_come_back_exact(tmp_path: Path, start: object) -> None:
    started: Start = start(place_in(tmp_path, "mlp"))  # type: ignore[operator]
    told = json.loads(started.encode(ROW))
    numbers = told["inputs"][0]["data"] if "inputs" in told else told["rows"][0]
    assert struct.pack("<784f", *numbers) == ROW
    answer = {"outputs": [{"data": numbers[:10]}]} if "inputs" in told else [numbers[:10]]
    assert started.decode(json.dumps(answer).encode()) == ROW[:40]


@given(st.binary(max_size=80))
def test_tritons_tensor_is_what_follows_its_json(body: bytes) -> None:
    head = json.dumps(
        {"model_name": "m", "outputs": [{"name": "y", "parameters": {"binary_data_size": len(body)}}]}
    )
    assert starting._after_json(head.encode() + body) == body


# --- what is asked ----------------------------------------------------------------------------------------


def test_answers_are_compared_byte_for_byte_and_the_networks_nearly() -> None:
    assert SCENARIOS["W1"].wrong(SMALL, b"") is None
    assert SCENARIOS["W1"].wrong(SMALL[:-1], b"") is not None
    network = struct.pack("<10f", *range(10))
    near = struct.pack("<10f", *(number + 1e-5 for number in range(10)))
    far = struct.pack("<10f", *(number + 1e-2 for number in range(10)))
    assert SCENARIOS["W3"].wrong(network, network) is None
    assert SCENARIOS["W3"].wrong(near, network) is None
    assert "away" in str(SCENARIOS["W3"].wrong(far, network))
    assert "10 floats should be" in str(SCENARIOS["W3"].wrong(network[:-4], network))


def test_every_scenario_has_its_processor_and_reference() -> None:
    for scenario in SCENARIOS.values():
        assert (places.PROCESSORS / scenario.processor / "service.json").exists()
        assert (places.BENCHMARKS / "reference" / f"{scenario.bare}.py").exists()


@pytest.mark.parametrize("arguments", [["--only", "nginx"], ["--scenarios", "W9"]])
def test_who_isn_t_known_is_told_with_who_is(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["peers", *arguments])
    assert result.exit_code == 2
    assert "there is no" in result.output


def test_the_list_names_everybody() -> None:
    result = CliRunner().invoke(app, ["peers", "--list"])
    assert result.exit_code == 0
    assert all(name in result.output for name in catalogue.PEERS)
