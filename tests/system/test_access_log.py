"""The access log of a real engine, rotated as logrotate does it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from support.engine import TOKEN, eventually, service
from support.engines import Engines


def test_rotated_under_load_no_line_is_lost(engines: Engines, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    engine = engines(flags=("--access-log", str(file)))
    count = 300
    rotated = []
    with engine.connect() as client:
        for number in range(count):
            if number % 100 == 50:
                rotated.append(file.rename(file.with_suffix(f".{number}")))
                engine.signal(signal.SIGUSR1)
                eventually(file.exists, "a new file")
            assert client.ask(body=b"%d" % number, headers={"X-Request-Id": f"r{number}"}).status == 200
    assert engine.stop() == 0
    lines = [json.loads(line) for path in (*rotated, file) for line in path.read_text().splitlines()]
    assert [line["request_id"] for line in lines] == [f"r{number}" for number in range(count)]
    assert {line["status"] for line in lines} == {200}
    assert all(0 <= line["process"] <= line["seconds"] for line in lines)
    assert TOKEN not in "".join(path.read_text() for path in (*rotated, file))


def test_without_an_access_log_rotating_ends_nothing(engines: Engines) -> None:
    engine = engines()
    engine.signal(signal.SIGUSR1)
    assert engine.ask(body=b"on").body == b"on"
    refused = engine.connect()
    refused.token = "wrong"
    answer = refused.ask()
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="eas"')
    refused.close()


def test_a_place_that_can_not_be_had_ends_the_start(engines: Engines) -> None:
    engine = engines.raw(service("a"), "--access-log", "/proc/none/log")
    assert engine.wait() == 2
    assert "--access-log /proc/none/log: No such file or directory" in engine.log
