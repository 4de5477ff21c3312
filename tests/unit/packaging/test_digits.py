"""The digits example without an engine: the processor's reading and answers, the client's pictures."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.repository import ROOT

EXAMPLE = ROOT / "examples/digits"
sys.path.insert(0, str(EXAMPLE))
import app  # noqa: E402
import client  # noqa: E402
import next_steps  # noqa: E402

BLANK = [0] * 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sklearn", reason="scikit-learn trains the example")
    directory = tmp_path_factory.mktemp("model")
    subprocess.run(
        [sys.executable, str(EXAMPLE / "train.py"), str(directory)], check=True, capture_output=True
    )
    return directory


@pytest.fixture(scope="module")
def held_out(model: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    with np.load(model / "held_out.npz", allow_pickle=False) as arrays:
        return arrays["pixels"], arrays["truth"]


class Untouched(app.DigitsProcessor):
    """The processor, told where its model is instead of asking the engine."""

    def __init__(self, model: Path) -> None:
        self.classifier = app.Classifier(model / "digits.npz")


# --- the processor --------------------------------------------------------------------------------------


def test_json_and_raw_bytes_mean_the_same() -> None:
    scans = (np.arange(192, dtype=np.uint8) % 17).reshape(3, 64)

    assert (app.read_scans(scans.tobytes()) == scans).all()
    assert (app.read_scans(json.dumps(scans.tolist()).encode()) == scans).all()


def test_one_scan_needs_no_list_around_it() -> None:
    assert app.read_scans(json.dumps(BLANK).encode()).shape == (1, 64)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "an empty request"),
        (b"hello", "neither JSON lists of 64 numbers nor raw bytes"),
        (bytes(63), "neither JSON lists of 64 numbers nor raw bytes"),
        (bytes([17]) * 64, "neither JSON lists of 64 numbers nor raw bytes"),
        (b"\xff" * 64, "neither JSON lists of 64 numbers nor raw bytes"),
        (b"[1, 2, 3]", "a scan has 64 pixels; these lists have the shape (3,)"),
        (b"[]", "a scan has 64 pixels"),
        (b"[[]]", "a scan has 64 pixels"),
        (b"7", "a scan has 64 pixels"),
        (b"[[1], [1, 2]]", "neither JSON lists"),
        (json.dumps([[BLANK]]).encode(), "a scan has 64 pixels; these lists have the shape (1, 1, 64)"),
        (json.dumps([*BLANK[1:], 17]).encode(), "pixels must be numbers of 0..16"),
        (json.dumps([*BLANK[1:], -1]).encode(), "pixels must be numbers of 0..16"),
        (json.dumps([*BLANK[1:], float("nan")]).encode(), "pixels must be numbers of 0..16"),
        (json.dumps([*BLANK[1:], 10**400]).encode(), "pixels must be numbers of 0..16"),
        (json.dumps([*BLANK[1:], "7"]).encode(), "pixels must be numbers of 0..16"),
        (json.dumps([True] * 64).encode(), "pixels must be numbers of 0..16"),
        (b'{"pixels": []}', "pixels must be numbers of 0..16"),
        (b"null", "pixels must be numbers of 0..16"),
        (b"[" * 100_000, "neither JSON lists"),
    ],
)
def test_what_is_no_scan_is_refused_with_the_reason(model: Path, body: bytes, complaint: str) -> None:
    answer, status = Untouched(model).process(body)

    assert status == 400
    assert complaint in answer.decode()


def test_the_answers_come_in_order(
    model: Path, held_out: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    scans, _ = held_out
    processor = Untouched(model)
    together, status = processor.process(scans[:20].tobytes())
    singles = [json.loads(processor.process(scan.tobytes())[0])[0] for scan in scans[:20]]

    assert status == 200
    assert [each["digit"] for each in json.loads(together)] == [each["digit"] for each in singles]


def test_over_97_percent_of_what_was_held_out_is_right(
    model: Path, held_out: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    scans, truth = held_out
    answers = json.loads(Untouched(model).process(scans.tobytes())[0])
    right = sum(answer["digit"] == digit for answer, digit in zip(answers, truth, strict=True))

    assert len(truth) == 599
    assert right / len(truth) > 0.97
    assert all(0.1 <= answer["probability"] <= 1 for answer in answers)


def test_no_scan_is_on_both_sides(model: Path, held_out: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    with np.load(model / "digits.npz", allow_pickle=False) as arrays:
        known = {scan.tobytes() for scan in (arrays["centres"] * 16).astype(np.uint8)}

    assert len(known) > 1000
    assert not known & {scan.tobytes() for scan in held_out[0]}


def test_the_plain_file_holds_the_same_model(model: Path) -> None:
    plain = (model / "digits.bin").read_bytes()
    count = int.from_bytes(plain[8:12], "little")
    numbers = np.frombuffer(plain, "<f4", offset=12)
    centres, weights = np.split(numbers[2:], [count * 64])

    assert plain[:8] == b"DIGITS01"
    with np.load(model / "digits.npz", allow_pickle=False) as arrays:
        assert (numbers[0], numbers[1]) == (arrays["gamma"], arrays["sharpness"])
        assert (centres.reshape(-1, 64) == arrays["centres"]).all()
        assert (weights.reshape(-1, 10) == arrays["weights"]).all()


# --- the client -----------------------------------------------------------------------------------------


class Oracle(http.server.BaseHTTPRequestHandler):
    """Says of every scan that it is a 3; wants the token."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        opened = self.headers["Authorization"] == "open sesame"
        answer = json.dumps([{"digit": 3, "probability": 0.5}] * (len(body) // 64)).encode()
        self.send_response(200 if opened else 401)
        self.end_headers()
        self.wfile.write(answer if opened else b"missing or invalid token")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def oracle() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Oracle) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/api/predict/digits"
        server.shutdown()


def test_the_client_finds_the_service_in_the_state_directory(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "token").write_text("secret")
    record = {"url": "http://127.0.0.1:1/api/predict/digits", "token_file": str(tmp_path / "token")}
    (tmp_path / "digits/engine.json").write_text(json.dumps(record))

    assert client.find_service(tmp_path) == client.Service(record["url"], "secret")


def test_an_open_service_has_no_token(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits/engine.json").write_text('{"url": "http://127.0.0.1:1/x", "token_file": null}')

    assert client.find_service(tmp_path).token == ""


def test_every_scan_gets_its_answer(oracle: str) -> None:
    scans = np.zeros((123, 64), np.uint8)

    assert client.classify(client.Service(oracle, "open sesame"), scans) == [(3, 0.5)] * 123


def test_a_refusal_is_told_in_the_services_words(oracle: str) -> None:
    with pytest.raises(client.UnavailableError, match="answered 401: missing or invalid token"):
        client.classify(client.Service(oracle, "wrong"), np.zeros((1, 64), np.uint8))


def run_client(*arguments: str, model: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The client as a command, on a copy of the example beside the tests' model."""
    place = model.parent / "example"
    if not place.exists():
        place.mkdir()
        (place / "model").symlink_to(model)
        (place / "client.py").write_bytes((EXAMPLE / "client.py").read_bytes())
    return subprocess.run(
        [sys.executable, str(place / "client.py"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_without_a_service_it_says_how_to_start_one(model: Path, tmp_path: Path) -> None:
    said = run_client("--state-dir", str(tmp_path), model=model)

    assert said.returncode == 1
    assert "no running engine found" in said.stderr
    assert "make serve" in said.stderr


def test_in_a_pipe_there_are_no_colours_and_every_mistake_is_shown(model: Path, oracle: str) -> None:
    said = run_client("--url", oracle, "--token", "open sesame", model=model).stdout

    assert said.isascii()
    assert "\033" not in said
    assert said.count("3 (50%) not ") == 538
    assert said.count("3 (50%)") == 538 + 8
    assert "Wrong: 538 of 599" in said
    assert said.splitlines()[-1] == "accuracy 10.2%: 61 of 599 held-out digits are right"


def test_json_for_machines(model: Path, oracle: str) -> None:
    said = json.loads(run_client("--url", oracle, "--token", "open sesame", "--json", model=model).stdout)

    assert (said["sent"], said["accuracy"]) == (599, 0.1018)
    assert len(said["wrong"]) == 538
    assert said["wrong"][0].keys() == {"index", "digit", "probability", "truth"}


def test_a_picture_in_colours_is_as_wide_as_it_says() -> None:
    scan = np.full(64, 16, np.uint8)
    scan[:8] = 0
    first, *others = client.half_blocks(scan)

    white_over_black = "\033[38;2;255;255;255m\033[48;2;0;0;0m\N{UPPER HALF BLOCK}"
    assert first == white_over_black * 8 + "\033[0m"
    assert len(others) == 3


def test_a_picture_in_plain_characters() -> None:
    scan = np.zeros(64, np.uint8)
    scan[0] = 16

    assert client.shades(scan)[0] == "@@" + " " * 14


# --- the next steps -------------------------------------------------------------------------------------


def test_another_engines_record_is_not_ours(tmp_path: Path) -> None:
    record = tmp_path / "engine.json"
    assert next_steps.read_record(record, 7) is None

    record.write_text('{"pid": 8}')
    assert next_steps.read_record(record, 7) is None
    assert next_steps.read_record(record, 8) == {"pid": 8}


def test_nothing_is_printed_when_the_engine_ends_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["/bin/true"]) as engine:
        next_steps.announce(tmp_path, engine.pid)

    assert capsys.readouterr().out == ""
