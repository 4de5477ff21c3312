"""A new user's first five minutes: the digits example as `make serve` starts it, every printed line tried."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.readme import block
from support.repository import ROOT

EXAMPLE = ROOT / "examples/digits"
sys.path.insert(0, str(EXAMPLE))
import next_steps  # noqa: E402

LAST_LINE = "Ctrl-C stops it."


@dataclass
class Example:
    """The running example and what it printed."""

    process: subprocess.Popen[str]
    state_dir: Path
    printed: str

    def line(self, start: str) -> str:
        """The printed command that begins so."""
        (found,) = (line.strip() for line in self.printed.splitlines() if line.strip().startswith(start))
        return found

    def send(self, body: bytes, token: str | None = None) -> tuple[int, str]:
        """Status and text of one request."""
        address = urllib.parse.urlsplit(self.record["url"])
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        connection.request(
            "POST", address.path, body, {"Authorization": self.token if token is None else token}
        )
        response = connection.getresponse()
        answer = response.status, response.read().decode()
        connection.close()
        return answer

    @property
    def record(self) -> dict[str, Any]:
        """engine.json."""
        record: dict[str, Any] = json.loads((self.state_dir / "digits/engine.json").read_text())
        return record

    @property
    def token(self) -> str:
        """What opens the service."""
        return Path(self.record["token_file"]).read_text()

    def normalised(self, text: str) -> str:
        """As the README shows it: the usual port and places."""
        file = self.record["token_file"]
        port = urllib.parse.urlsplit(self.record["url"]).port
        text = text.replace(f" --state-dir {self.state_dir}", "").replace(
            file, "~/.local/state/eas-engine/digits/token"
        )
        text = text.replace(sys.executable, ".venv/bin/python").replace(f"{ROOT}/", "")
        return text.replace(f":{port}/", ":8080/")


@pytest.fixture(scope="module")
def trained() -> None:
    if not (EXAMPLE / "model/digits.npz").exists():
        pytest.importorskip("sklearn", reason="scikit-learn trains the example")
        subprocess.run([sys.executable, str(EXAMPLE / "train.py")], check=True)


def start(state_dir: Path) -> Example:
    command = [sys.executable, str(EXAMPLE / "serve.py"), "--port", "0", "--admin-port", "0"]
    command += ["--state-dir", str(state_dir)]
    log = (state_dir.parent / "log").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    log.close()
    printed = ""
    assert process.stdout
    for line in process.stdout:
        printed += line
        if line.strip() == LAST_LINE:
            return Example(process, state_dir, printed)
    pytest.fail(f"it ended with {process.wait()}:\n{printed}{(state_dir.parent / 'log').read_text()}")


def stop(example: Example, number: signal.Signals) -> int:
    example.process.send_signal(number)
    example.process.communicate()  # until its output ends: nobody holds it any more
    return example.process.returncode


@pytest.fixture(scope="module")
def example(trained: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    running = start(tmp_path_factory.mktemp("example") / "state")
    yield running
    if running.process.poll() is None:
        stop(running, signal.SIGTERM)


def run(command: str) -> str:
    """A printed line, as it is, from a directory that isn't the checkout."""
    return subprocess.run(
        ["/bin/sh", "-c", command], check=True, capture_output=True, text=True, cwd="/"
    ).stdout


def test_it_says_where_it_is_and_what_opens_it(example: Example) -> None:
    assert example.record["url"] in example.printed
    assert f"in {example.record['token_file']}" in example.printed
    assert example.record["pid"] == example.process.pid


def test_the_token_itself_is_for_a_terminal_only(example: Example) -> None:
    def steps(*, terminal: bool) -> str:
        return next_steps.next_steps(example.record, example.state_dir, terminal=terminal)

    assert example.token not in example.printed
    assert example.token not in steps(terminal=False)
    assert f"token   {example.token}\n" in steps(terminal=True)


def test_the_curl_line_works_as_printed(example: Example) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl isn't installed (apt-get install curl)")
    (answer,) = json.loads(run(example.line("curl") + " --silent"))

    assert answer["digit"] == 7
    assert answer["probability"] > 0.9


def test_the_client_line_works_as_printed(example: Example) -> None:
    said = run(example.line(sys.executable))
    found = re.fullmatch(r"accuracy (\S+)%: (\d+) of (\d+) held-out digits are right", said.splitlines()[-1])

    assert found
    assert float(found[1]) > 97
    assert said.count(" not ") == int(found[3]) - int(found[2])


def test_the_client_tells_machines_the_same(example: Example) -> None:
    said = json.loads(run(example.line(sys.executable) + " --json"))

    assert said["url"] == example.record["url"]
    assert said["sent"] == 599
    assert said["accuracy"] > 0.97
    assert len(said["wrong"]) == round((1 - said["accuracy"]) * said["sent"])


def test_json_works_as_well_as_bytes(example: Example) -> None:
    scan = (EXAMPLE / "model/one.bin").read_bytes()

    assert example.send(json.dumps([list(scan)]).encode()) == example.send(scan)


def test_what_is_no_scan_is_answered_with_the_reason(example: Example) -> None:
    status, text = example.send(b"[1, 2, 3]")

    assert status == 400
    assert text == "a scan has 64 pixels; these lists have the shape (3,)"


def test_without_the_token_nothing_is_answered(example: Example) -> None:
    status, _ = example.send(b"[]", token="wrong")

    assert status == 401


def test_a_client_with_the_wrong_token_is_told_what_to_do(example: Example) -> None:
    command = [*shlex.split(example.line(sys.executable)), "--url", example.record["url"], "--token", "wrong"]
    said = subprocess.run(command, check=False, capture_output=True, text=True)

    assert said.returncode == 1
    assert "answered 401" in said.stderr
    assert "make serve" in said.stderr


def test_the_readme_shows_what_one_sees(example: Example) -> None:
    steps = next_steps.next_steps(example.record, example.state_dir, terminal=True)
    seen = run(example.line(sys.executable)).rstrip("\n")

    assert example.normalised(steps).strip("\n").replace(example.token, "ZTY0YmM3...") == block(
        "make serve output"
    )
    assert seen.startswith(block("client output: first"))
    assert seen.endswith(block("client output: last"))
    if shutil.which("curl"):
        assert run(example.line("curl") + " --silent") == block("curl output")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_when_told_and_leaves_nothing_behind(
    trained: None, tmp_path: Path, number: signal.Signals
) -> None:
    running = start(tmp_path / "state")
    token = running.token

    assert stop(running, number) == 0
    assert not (tmp_path / "state/digits/engine.json").exists()
    again = start(tmp_path / "state")
    assert again.token == token
    assert stop(again, number) == 0
