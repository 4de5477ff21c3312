"""The requests of a benchmark, and the reference servers that answer them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eas_bench.machine import Cores, Missing, tool
from eas_bench.scenarios.setting import SMALL, noise
from eas_bench.servers import NotServing, Target, reference

EVERY = frozenset(os.sched_getaffinity(0))
LARGE = noise(602_112)
LIKE = Target(0, "/api/predict/echo", ("Authorization: abc",))


def test_a_request_is_written_as_http() -> None:
    assert Target(8080, "/api/predict/echo", ("Authorization: abc",)).request(b"hello") == (
        b"POST /api/predict/echo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: abc\r\n"
        b"Content-Length: 5\r\n\r\nhello"
    )


@pytest.mark.parametrize(
    ("module", "arguments", "body", "answer"),
    [
        ("echo", (), SMALL, SMALL),
        ("echo", (), LARGE, LARGE),
        ("echo", (), b"", b""),
        ("large", (), LARGE, LARGE[:4096]),
        ("large", (), b"short", b"short"),
        ("large", (), b"", b""),
        ("loops", ("2",), SMALL, SMALL),
        ("spin", (), SMALL, SMALL),
    ],
)
def test_a_reference_answers_what_the_engine_is_asked(
    tmp_path: Path, module: str, arguments: tuple[str, ...], body: bytes, answer: bytes
) -> None:
    with reference(module, *arguments, like=LIKE, cores=EVERY, log=tmp_path / "log") as bare:
        for _ in range(3):
            bare.expect(body, answer)
        assert bare.pid != os.getpid()
        os.kill(bare.pid, 0)  # it is there


def test_another_answer_than_expected_ends_the_measurement(tmp_path: Path) -> None:
    with (
        reference("echo", like=LIKE, cores=EVERY, log=tmp_path / "log") as bare,
        pytest.raises(NotServing, match="answered 200 and 5 bytes"),
    ):
        bare.expect(b"hello", b"world")


def test_a_reference_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(NotServing, match=r"No module named reference\.nothing"),
        reference("nothing", like=LIKE, cores=EVERY, log=tmp_path / "log"),
    ):
        pass


def test_a_missing_tool_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(Missing, match="apt-get install wrk"):
        tool("no-such-tool", "wrk")


def test_load_and_server_have_different_cores_where_there_are_two() -> None:
    cores = Cores.of_this_process()
    assert cores.every == EVERY
    assert (cores.server == cores.load) == (len(EVERY) == 1)
