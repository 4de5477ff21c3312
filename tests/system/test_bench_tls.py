"""eas-bench and servers that speak TLS: the loops, whom they trust, and what they say when they don't."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from eas_bench import client, record
from eas_bench.client import NotMeasured
from eas_bench.target import NotWanted, Wanted
from support import tls_server
from support.bench_command import bench

CA = str(tls_server.CA)
LARGE = random.Random(1).randbytes(3_000_001)  # several reads of the loop, hundreds of records of TLS


@pytest.fixture
def echo() -> Iterator[str]:
    with tls_server.echoing() as url:
        yield url


def a_load(**changes: Any) -> record.Load:
    usual = {"kind": "closed", "connections": 4, "duration": 0.5, "warm_up": 0.1, "timeout": 60}
    return record.Load.model_validate({**usual, **changes})


def same(body: bytes, answer: bytes) -> str | None:
    return None if body == answer else f"{len(answer)} bytes of {len(body)}"


@pytest.mark.parametrize("processes", [1, 2])
def test_a_closed_load_counts_each_of_its_answers(echo: str, processes: int) -> None:
    run = client.measure(Wanted(echo, bodies=(b"hello",), cacert=CA), a_load(processes=processes))
    assert run.tally.sent == run.good > 0
    assert run.tally.failures == {}
    assert run.asked.url == echo


def test_an_open_load_makes_every_request_of_its_schedule(echo: str) -> None:
    load = a_load(kind="open", rate=101, arrivals="constant", connections=60, duration=1)
    run = client.measure(Wanted(echo, bodies=(b"hello",), cacert=CA), load)
    assert run.tally.sent == run.good == 101


@pytest.mark.parametrize("path", ["", "close"])
def test_bodies_of_every_size_come_back_as_they_were_sent(echo: str, path: str) -> None:
    """In their turns; with ``close`` each has a connection, and a handshake, of its own."""
    wanted = Wanted(echo + path, bodies=(LARGE, b"a", LARGE[:600_000], LARGE[:16_384]), cacert=CA)
    run = client.measure(wanted, a_load(connections=3), checking=same)
    assert run.notes == []
    assert run.tally.sent == run.good > 0


def test_an_answer_that_breaks_off_is_cut(echo: str) -> None:
    run = client.measure(Wanted(echo + "cut", bodies=(b"hello",), cacert=CA), a_load())
    assert set(run.tally.failures) == {"cut"}
    assert run.tally.failures["cut"] == run.tally.sent > 0


def test_a_server_that_isn_t_trusted_has_no_request(echo: str) -> None:
    stranger = Wanted(echo, bodies=(b"hello",))
    with pytest.raises(NotMeasured, match=r"isn't trusted \(.*\): --cacert FILE .*, --insecure takes every"):
        client.first_answer(stranger, 60)
    run = client.measure(stranger, a_load(connections=1))
    assert set(run.tally.failures) == {"tls"}
    assert run.good == 0


def test_the_name_must_be_the_certificate_s(echo: str) -> None:
    elsewhere = echo.replace("127.0.0.1", "localhost")
    with pytest.raises(NotMeasured, match=r"Hostname mismatch"):
        client.first_answer(Wanted(elsewhere, bodies=(b"x",), cacert=CA), 60)
    assert client.first_answer(Wanted(elsewhere, bodies=(b"x",), insecure=True), 60) == []
    assert client.measure(Wanted(elsewhere, bodies=(b"x",), insecure=True), a_load()).good > 0


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_server_that_doesn_t_speak_it_is_told(said: bytes) -> None:
    def answer(made: socket.socket) -> None:
        made.recv(1 << 16)
        made.sendall(said)

    with tls_server.answering(answer) as url:
        wanted = Wanted(url, bodies=(b"hello",), insecure=True)
        with pytest.raises(NotMeasured, match=r"doesn't speak TLS as we do \(.*\); is it an http:// URL"):
            client.first_answer(wanted, 60)
        run = client.measure(wanted, a_load(connections=2))
    assert set(run.tally.failures) == {"tls"}


def test_an_answer_is_one_also_when_what_comes_behind_it_is_no_tls() -> None:
    """In the same segment, so that both are read at once."""

    def answer(made: socket.socket) -> None:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(tls_server.CERTIFICATE, tls_server.KEY)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trust.wrap_bio(incoming, outgoing, server_side=True)
        asked = b""
        while b"hello" not in asked:
            incoming.write(made.recv(1 << 16))
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                asked += tls.read(1 << 16)
            if b"hello" not in asked:
                made.sendall(outgoing.read())
        tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        made.sendall(outgoing.read() + b"HTTP/1.1 500 not TLS at all\r\n\r\n")

    with tls_server.answering(answer) as url:
        run = client.measure(Wanted(url, bodies=(b"hello",), insecure=True), a_load(connections=1))
    assert run.good > 0
    assert set(run.tally.failures) <= {"tls", "unsent"}


def test_nobody_listens() -> None:
    run = client.measure(Wanted("https://127.0.0.1:1/", bodies=(b"x",)), a_load(connections=1))
    assert set(run.tally.failures) == {"refused"}


def test_a_file_without_certificates_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for file, words in ((tmp_path / "empty", "no certificates in it"), (tmp_path / "none", "can't be read")):
        with pytest.raises(NotWanted, match=words):
            client.first_answer(Wanted("https://127.0.0.1:1/", cacert=str(file)), 60)


def test_grpc_is_spoken_over_it(tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc")
    handler = grpc.method_handlers_generic_handler(
        "a.B", {"C": grpc.unary_unary_rpc_method_handler(lambda request, _: request)}
    )
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(handler,))
    credentials = grpc.ssl_server_credentials(
        [(tls_server.KEY.read_bytes(), tls_server.CERTIFICATE.read_bytes())]
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        wanted = Wanted(f"https://127.0.0.1:{port}", bodies=(b"one",), grpc="/a.B/C", cacert=CA)
        assert client.first_answer(wanted, 60) == []
        run = client.measure(wanted, a_load(), checking=same)
        assert run.tally.sent == run.good > 0
        with pytest.raises(NotMeasured, match="nobody speaks gRPC"):
            client.first_answer(Wanted(wanted.url, bodies=(b"one",), grpc="/a.B/C"), 60)
    finally:
        server.stop(None).wait()


# --- the command ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trust", [["--cacert", CA], ["--insecure"]])
def test_a_run_says_that_its_own_limit_isn_t_known(echo: str, trust: list[str]) -> None:
    done = bench(
        "run", echo, "--text", "hello", "-c", "1", "-d", "300ms", "--warm-up", "0", *trust, "--json", "-"
    )
    run = record.Run.model_validate_json(done.stdout)
    assert run.good == run.tally.sent > 0, done.stderr
    assert run.generator.limit is None
    assert any("own limit isn't known with TLS" in note for note in run.notes)


def test_a_sweep_goes_on_without_its_own_limit(echo: str) -> None:
    done = bench(
        *(
            "sweep",
            echo,
            "--text",
            "x",
            "--insecure",
            "--slo",
            "p50=60s,errors=100%",
            "--from",
            "5",
            "--to",
            "5",
        ),
        *("-d", "300ms", "--warm-up", "0", "--timeout", "60s", "--json", "-"),
    )
    assert json.loads(done.stdout)["rate"] == 5, done.stderr
    assert "own limit isn't known" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["https://127.0.0.1:1/"], "nobody listens"),
        (["http://h/", "--insecure"], "need an https:// URL"),
        (["https://h/", "--insecure", "--cacert", CA], "give it without --cacert"),
        (["https://h/", "--insecure", "--grpc", "/a.B/C"], "give --cacert FILE"),
        (["https://127.0.0.1:1/", "--cacert", str(tls_server.KEY)], "no certificates in it"),
        (["ftp://h/"], "expected http://HOST[:PORT]/PATH, or https://"),
    ],
)
def test_bad_usage_is_told_with_what_to_do(arguments: list[str], says: str) -> None:
    done = bench("run", *arguments)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
