"""Compressed requests and answers, through whole engines: each codec, bombs, and what isn't the codec's."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cramjam
import pytest

from support.client import Answer
from support.engine import TOKEN, Engine
from support.engines import Engines

MEGABYTE = 1 << 20
LIMIT = 8 * MEGABYTE
TEXT = b"".join(b"line %d of many, more or less alike\n" % n for n in range(60_000))
SIZES = [1, 1000, 20_000, 300_000, len(TEXT)]
WRITERS: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    ("zlib", "zlib", zlib.compress),
    ("gzip", "gzip", gzip.compress),
    ("zstd", "zstd", lambda data: bytes(cramjam.zstd.compress(data))),
    ("snappy block", "snappy", lambda data: bytes(cramjam.snappy.compress_raw(data))),
    ("snappy frames", "snappy", lambda data: bytes(cramjam.snappy.compress(data))),
    ("lz4 block", "lz4", lambda data: bytes(cramjam.lz4.compress_block(data, store_size=False))),
    ("lz4 frames", "lz4", lambda data: bytes(cramjam.lz4.compress(data))),
]
every_writer = pytest.mark.parametrize(
    ("codec", "write"), [one[1:] for one in WRITERS], ids=[one[0] for one in WRITERS]
)


@pytest.fixture(scope="module")
def engine_of(module_engines: Engines) -> Callable[[str], Engine]:
    """An engine whose service has this decompressor; started when it is first asked for."""
    started: dict[str, Engine] = {}

    def engine_of(codec: str) -> Engine:
        if codec not in started:
            rpc: dict[str, object] = {"decompressor": codec, "max_body_size": LIMIT, "keepalive": 60_000}
            started[codec] = module_engines(rpc)
        return started[codec]

    return engine_of


@every_writer
def test_the_processor_sees_what_the_client_compressed(
    engine_of: Callable[[str], Engine], codec: str, write: Callable[[bytes], bytes]
) -> None:
    with engine_of(codec).connect() as client:
        for size in SIZES:
            seen = json.loads(client.ask("do=tell", write(TEXT[:size])).body)
            assert (seen["size"], seen["sha256"]) == (size, hashlib.sha256(TEXT[:size]).hexdigest())
            assert client.ask(body=write(TEXT[:size])).body == TEXT[:size]
        assert client.ask().body == b"", "no body is nothing to inflate"
        client.send(client.head("do=tell", method="GET", length=None))
        assert json.loads(client.read().body)["size"] == 0


@every_writer
def test_a_bomb_is_413_and_takes_no_memory(
    engine_of: Callable[[str], Engine], codec: str, write: Callable[[bytes], bytes]
) -> None:
    engine = engine_of(codec)
    bomb = write(bytes(12 * LIMIT))
    assert len(bomb) < LIMIT
    before = engine.memory
    for _ in range(4):
        answer = engine.ask(body=bomb)
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert "inflated" in answer.text
    assert engine.memory - before < 3 * LIMIT
    assert engine.metric("eas_body_bytes") == 0


@every_writer
def test_broken_bodies_are_400_and_the_connection_lives(
    engine_of: Callable[[str], Engine], codec: str, write: Callable[[bytes], bytes]
) -> None:
    whole = write(TEXT)
    with engine_of(codec).connect() as client:
        for body in (whole[: len(whole) // 2], whole + b"\0garbage", b"\xfe" * 100, TEXT[:1000]):
            answer = client.ask(body=body)
            assert (answer.status, answer.code) == (400, "broken_body")
            assert codec in answer.text
            assert not answer.closes
        assert client.ask(body=whole).body == TEXT


def test_pipelined_requests_of_all_sizes_are_answered_in_order(engine_of: Callable[[str], Engine]) -> None:
    sizes = [len(TEXT), 10, 300_000, 0, 20_000, 5, MEGABYTE, 1]
    bodies = [zlib.compress(TEXT[:size]) for size in sizes]
    with engine_of("zlib").connect() as client:
        client.send(b"".join(client.head(length=len(body)) + body for body in bodies))
        assert [client.read().body for _ in sizes] == [TEXT[:size] for size in sizes]


def test_many_at_once_each_get_their_own(engine_of: Callable[[str], Engine]) -> None:
    engine = engine_of("zstd")

    def ask(number: int) -> None:
        with engine.connect() as client:
            for turn in range(12):
                data = TEXT[number * 1000 :][: SIZES[(number + turn) % len(SIZES)]] + b"%d.%d" % (
                    number,
                    turn,
                )
                answer = client.ask(
                    body=bytes(cramjam.zstd.compress(data)), headers={"Accept-Encoding": "gzip"}
                )
                coded = answer.headers.get("content-encoding") == "gzip"
                assert coded is (len(data) > 1024)
                assert (gzip.decompress(answer.body) if coded else answer.body) == data

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(ask, range(6)))
    assert engine.metric("eas_body_bytes") == 0
    assert engine.metric("eas_inflated_to_bytes_total") > engine.metric("eas_inflated_from_bytes_total") > 0
    assert engine.metric("eas_compressed_from_bytes_total") > engine.metric("eas_compressed_to_bytes_total")


def test_the_signature_is_over_the_bytes_on_the_wire(engine_of: Callable[[str], Engine]) -> None:
    body = bytes(cramjam.snappy.compress_raw(TEXT))
    engine = engine_of("snappy")
    md5, kind, date = (
        hashlib.md5(body).hexdigest(),
        "application/octet-stream",
        "Mon, 02 Jan 2006 15:04:05 GMT",
    )
    message = f"POST\n{md5}\n{kind}\n{date}\n/api/predict/{engine.name}"
    key = base64.b64encode(hmac.new(TOKEN.encode(), message.encode(), "sha1").digest()).decode()
    with engine.connect() as client:
        client.token = ""
        headers = {"Content-MD5": md5, "Content-Type": kind, "Date": date, "Authorization": f"EAS {key}"}
        assert client.ask(body=body, headers=headers).body == TEXT
        assert client.ask(body=body, headers={**headers, "Content-MD5": "0" * 32}).status == 401


# -- answers


def decoded(answer: Answer, coding: str | None) -> bytes:
    if coding == "gzip":
        return gzip.decompress(answer.body)
    if coding == "zstd":
        return bytes(cramjam.zstd.decompress(answer.body))
    if coding == "lz4-raw":
        size = int(answer.headers["x-lz4-original-length"])
        return bytes(cramjam.lz4.decompress_block(answer.body, size))
    return answer.body


@pytest.mark.parametrize("size", [2000, 100_000, len(TEXT)])
def test_answers_in_every_coding(engine_of: Callable[[str], Engine], size: int) -> None:
    data = TEXT[:size]
    with engine_of("zlib").connect() as client:
        for wanted, coding in {
            "gzip": "gzip",
            "gzip, deflate, br, zstd": "zstd",
            "zstd;q=0.1, *;q=0.5": "gzip",
            "lz4-raw": "lz4-raw",
            "deflate": None,
            "gzip;q=0": None,
        }.items():
            answer = client.ask(body=zlib.compress(data), headers={"Accept-Encoding": wanted})
            assert answer.headers.get("content-encoding") == coding
            assert decoded(answer, coding) == data
            assert ("x-lz4-original-length" in answer.headers) is (coding == "lz4-raw")
            assert (answer.headers.get("vary") == "Accept-Encoding") is (coding is not None)


def test_a_client_that_leaves_while_its_answer_is_compressed_harms_nobody(
    engine_of: Callable[[str], Engine],
) -> None:
    engine = engine_of("zlib")
    body = zlib.compress(TEXT * 3, 1)
    for _ in range(5):
        with engine.connect() as client:
            client.post(body=body, headers={"Accept-Encoding": "gzip"})
    assert engine.ask(body=body, headers={"Accept-Encoding": "gzip, identity;q=0"}).status == 200
    engine.wait_metric("eas_connections", 0)
    engine.wait_metric("eas_body_bytes", 0)


def test_the_status_says_how_many_threads_there_may_be(engine_of: Callable[[str], Engine]) -> None:
    engine = engine_of("zlib")
    shown = engine.status()["io_threads"]
    assert shown["effective"] == 1
    assert 1 <= shown["for_bodies"] <= shown["requested"] == 4
