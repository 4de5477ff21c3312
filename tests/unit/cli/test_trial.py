"""``eas-engine test`` starts a real engine and says what came back."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import allspark
class Processor(allspark.BaseProcessor):
    def initialize(self):
        if INITIALIZE: raise RuntimeError("the model is missing")
    def process(self, data):
        if data == b"bad":
            print("column 3 is empty", flush=True)
            return b"not that", 422
        return b"got " + data, 200
if __name__ == "__main__":
    Processor().run()
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    path = tmp_path / "service.json"
    path.write_text(json.dumps({"name": "echo", "processor_type": "python", "processor_entry": "app.py"}))
    (tmp_path / "app.py").write_text(APP.replace("INITIALIZE", "False"))
    return path


def trial(
    service: Path, *arguments: str, given: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "eas_engine", "test", "--config", str(service), *arguments],
        check=False,
        capture_output=True,
        input=given,
        env={**os.environ, **environment},
    )


def test_the_answer_and_its_timing(service: Path, tmp_path: Path) -> None:
    done = trial(service, "--text", "höhe", TMPDIR=str(tmp_path), EAS_PORT="1", EAS_ADMIN_HOST="192.0.2.1")
    assert done.stdout == "got höhe".encode()
    assert done.returncode == 0
    assert b"status 200: 1" in done.stderr
    assert b"process" in done.stderr  # Server-Timing
    assert sorted(path.name for path in tmp_path.iterdir() if "eas-test" in path.name) == []


def test_many_and_from_stdin(service: Path) -> None:
    done = trial(service, "--data", "-", "--count", "20", given=b"\x00\xff")
    assert done.stdout == b"got \x00\xff"
    assert b"status 200: 20" in done.stderr
    assert b"p99" in done.stderr


SHOWS_HEADERS = """
import eas_sdk
class Processor(eas_sdk.Processor):
    def process(self, request):
        names = ("content-type", "authorization", "x-eas-timing")
        return "|".join(str(request.headers.get(name)) for name in names)
"""


def test_header_fields_are_sent_and_count_more_than_our_own(service: Path) -> None:
    service.with_name("app.py").write_text(SHOWS_HEADERS)
    fields = ("--header", "Content-Type:  application/json; a=b ", "--header", "x-eas-timing: 0")
    done = trial(service, "--text", "{}", *fields)
    assert done.stdout.startswith(b"application/json; a=b|"), done.stderr
    assert done.stdout.endswith(b"|0")
    refused = trial(service, "--text", "{}", "--header", "AUTHORIZATION: nobody")
    assert b"status 401: 1" in refused.stderr


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (["secret"], b"--header '...': expected 'Name: value'"),
        (["A b: secret"], b"--header 'A b': expected 'Name: value'"),
        (["A: secret\r\nB: c"], b"--header 'A': expected 'Name: value'"),
        (["A: h\xf6he secret"], b"--header 'A': expected 'Name: value'"),
        (["content-length: 3"], b"--header content-length: is the connection's own"),
        (["A: 1", "a: 2"], b"--header a: given twice"),
    ],
)
def test_what_is_no_header_field_is_refused_without_its_value(
    service: Path, fields: list[str], said: bytes
) -> None:
    done = trial(service, "--text", "x", *(part for one in fields for part in ("--header", one)))
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert b"secret" not in done.stderr


def test_warnings_about_the_file_are_shown(service: Path) -> None:
    done = trial(service, "--text", "x", "-D", "metadata.rpc.max_que_size=1")
    assert done.returncode == 0, done.stderr
    assert b"warning: metadata.rpc.max_que_size: " in done.stderr
    assert b"did you mean max_queue_size?" in done.stderr


def test_any_other_status_is_exit_1(service: Path) -> None:
    done = trial(service, "--text", "bad")
    assert (done.returncode, done.stdout) == (1, b"not that")
    assert b"status 422: 1" in done.stderr
    assert b"column 3 is empty" in done.stderr.partition(b"status 422")[2]


def test_what_the_processor_printed_is_not_shown_when_all_is_well(service: Path) -> None:
    service.with_name("app.py").write_text(APP.replace("INITIALIZE", "print('loading', flush=True)"))
    done = trial(service, "--text", "x")
    assert done.returncode == 0
    assert b"loading" not in done.stderr


def test_a_processor_that_refuses_is_exit_4_with_its_last_words(service: Path) -> None:
    service.with_name("app.py").write_text(APP.replace("INITIALIZE", "True"))
    done = trial(service, "--text", "x")
    assert done.returncode == 4
    assert b"the model is missing" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--text", "x", "--data", "y"], ["--data", "/nonexistent"]])
def test_exactly_one_body(service: Path, arguments: list[str]) -> None:
    done = trial(service, *arguments)
    assert done.returncode == 2
    assert b"--data" in done.stderr


@pytest.mark.parametrize("option", ["--text", "--data"])
def test_of_two_bodies_none_is_dropped_in_silence(service: Path, option: str) -> None:
    """It sent the last one."""
    done = trial(service, option, "a", option, "b")
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"{option} was given 2 times: test sends one body".encode() in done.stderr


def test_where_both_go_the_same_way_what_is_said_begins_on_a_line_of_its_own(service: Path) -> None:
    command = [sys.executable, "-m", "eas_engine", "test", "--config", str(service), "--text", "x"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert b"\ngot x\nstatus 200: 1; 5 bytes\n" in done.stdout


def test_on_a_terminal_an_answer_that_is_no_text_is_shown_in_hex(service: Path, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\xff\x1b" * 100)
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "eas_engine",
        "test",
        "--config",
        str(service),
        "--data",
        str(tmp_path / "body"),
    ]
    done = subprocess.run(command, check=False, stdout=follower, stderr=subprocess.PIPE)
    os.close(follower)
    shown = os.read(leader, 10_000)
    os.close(leader)
    assert done.returncode == 0, done.stderr
    assert shown.startswith(b"67 6f 74 20 ff 1b")
    assert b"\x1b" not in shown
