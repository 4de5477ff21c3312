"""The versioned interface of eas/processor.h: through the C++ class, and in C field by field."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eas_host import wire
from eas_host.adapters import Raised, cpp_v1
from eas_host.adapters.cpp import Cpp
from eas_host.batches import Batches
from eas_host.load import Failed
from eas_sdk import Request
from support import compiled
from support.engine import eventually
from support.engine_end import EngineEnd

CLASS = "versioned.cpp"
TABLE = "table.c"


def make(name: str, *flags: str, model: str = "", config: str = "") -> Cpp:
    message = {
        "entry": str(compiled.library(name, *flags)),
        "model_entry": model,
        "model_config": config,
        "threads": None,
    }
    processor = Cpp(message)
    processor.initialize()
    return processor


def ask(processor: Cpp, what: str, body: bytes = b"", **given: Any) -> tuple[int, Any, bytes]:
    return processor.handle()(Request.build(body, path=f"/api/predict/demo/{what}", **given))


@pytest.fixture
def start() -> Iterator[Callable[..., EngineEnd]]:
    ends: list[EngineEnd] = []

    def start(processor: Cpp, threads: int = 1) -> EngineEnd:
        ends.append(EngineEnd(processor.handle(), threads))
        return ends[-1]

    yield start
    for end in ends:
        end.close()


@pytest.fixture
def start_batches() -> Iterator[Callable[..., EngineEnd]]:
    ends: list[EngineEnd] = []

    def start(processor: Cpp, threads: int = 1) -> EngineEnd:
        ends.append(EngineEnd(Batches(processor.handle_batch()), threads))
        return ends[-1]

    yield start
    for end in ends:
        end.close()


# -- the class


def test_the_body_comes_back() -> None:
    assert ask(make(CLASS), "echo", b"hello") == (200, b"hello", b"")
    assert ask(make(CLASS), "echo") == (200, b"", b"")


def test_what_initialize_gets() -> None:
    assert ask(make(CLASS, model="/m/", config="{}"), "model")[1] == b"/m/|{}"


def test_everything_about_a_request(start: Callable[..., EngineEnd]) -> None:
    end = start(make(CLASS))
    head = b"POST /api/predict/demo/tell?a=1&b HTTP/1.1\r\nHost: x\r\nX-Two:  spaced \r\nEmpty:\r\n\r\n"
    end.socket.sendall(end.frame(0xAB, b"body", head=head))
    (answer,) = end.take()
    lines = answer.body.decode().splitlines()
    assert re.fullmatch(r"remaining \d+", lines.pop(5))
    assert lines == [
        "method POST",
        "path /api/predict/demo/tell",
        "query a=1&b",
        "id test-00ab",
        "absent yes",
        "cancelled no",
        "Host=x",
        "X-Two=spaced",
        "Empty=",
    ]


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/b/tell",
        "/tell?",
        "/tell?x=1?y",
        "http://host/tell?q",
        "http://host:80?q",
        "HTTP://h/p/tell",
        "http://host",
        "*",
        "/p://x/tell",
    ],
)
@pytest.mark.parametrize("fields", ["", "X-Request-Id: mine", "x-request-ID:\tbad id", "A: 1\r\nA: 2"])
def test_a_head_means_what_it_means_to_python(target: str, fields: str) -> None:
    """The header's reading of a head against the SDK's."""
    head = f"GET {target} HTTP/1.1" + (f"\r\n{fields}" if fields else "")
    request = Request(head.encode(), b"", 1e9, "p", 0x12345, b"\0", 0)
    expected = [request.method, request.path, request.query, request.request_id]
    reader = """
        #include <eas/processor.hpp>
        struct Reader : eas::Processor {
            eas::Response process(const eas::Request& r) override {
                return std::string(r.method()) + "\\n" + std::string(r.path()) + "\\n" +
                       std::string(r.query()) + "\\n" + r.id();
            }
        };
        EAS_REGISTER_PROCESSOR(Reader)
    """
    processor = Cpp(
        {
            "entry": str(compiled.text_library(reader)),
            "model_entry": "",
            "model_config": "",
            "threads": None,
        }
    )
    processor.initialize()
    assert processor.handle()(request)[1].decode().split("\n") == expected


def test_status_and_header_fields() -> None:
    status, body, lines = ask(make(CLASS), "fields", headers={"x-given": "here"})
    assert (status, body) == (201, b"with fields")
    assert lines == b"Content-Type: text/x-test\r\nX-Given: here\r\n"


@pytest.mark.parametrize(
    ("what", "status", "text"),
    [
        ("error", 422, b"not like this"),
        ("split", 500, b"the processor's answer can't be sent"),
    ],
)
def test_errors_with_a_status_and_answers_that_are_none(what: str, status: int, text: bytes) -> None:
    got = ask(make(CLASS), what)
    assert got[0] == status
    assert text in got[1]
    assert got[2] == b""


@pytest.mark.parametrize(
    ("what", "text"),
    [("throw", "ouch"), ("strange", "the processor threw something that is no std::exception")],
)
def test_an_exception_is_one_to_the_host_as_those_of_python_are(what: str, text: str) -> None:
    with pytest.raises(Raised, match=text) as caught:
        ask(make(CLASS), what)
    assert caught.value.trace == f"{text}\n"


def test_the_status_of_an_exception_is_that_of_the_header() -> None:
    header = (compiled.INCLUDE / "eas" / "processor.h").read_text()
    assert f"#define EAS_RAISED ({cpp_v1.RAISED})" in header
    with pytest.raises(Raised):
        ask(make(CLASS), "status", b"%d" % cpp_v1.RAISED)


@pytest.mark.parametrize(
    ("said", "status"), [(0, 200), (200, 200), (503, 503), (199, 400), (600, 400), (-1, 400)]
)
def test_a_status_that_is_none_is_400(said: int, status: int) -> None:
    assert ask(make(CLASS), "status", b"%d" % said)[0] == status


def test_a_large_answer_is_released_and_the_next_one_is_right(start: Callable[..., EngineEnd]) -> None:
    end = start(make(CLASS), 2)
    for slot in range(3):
        end.socket.sendall(end.frame(slot, head=b"GET /api/predict/demo/big HTTP/1.1"))
        (answer,) = end.take()
        assert answer.body == b"b" * (3 << 20)
        end.release(answer.offset)
    end.hand(b"small")
    assert end.take()[0].body == b"small"


def test_the_cancelled_flag_is_the_engines(start: Callable[..., EngineEnd]) -> None:
    end = start(make(CLASS))
    end.socket.sendall(end.frame(9, head=b"GET /x/cancelled HTTP/1.1"))
    while not end.begun(9):
        pass
    end.withdraw(9)
    assert end.take()[0].body == b"seen"


def test_initialize_that_throws_is_told_in_one_line() -> None:
    with pytest.raises(Failed, match=r"initialize failed with 1: no such model: /m/") as caught:
        make(CLASS, model="/m/", config="refuse")
    assert caught.value.stage == "initialize"
    with pytest.raises(Failed, match="no std::exception"):
        make(CLASS, config="strange")


def test_destroy_comes_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    processor = make(CLASS)
    assert "destroyed" not in capfd.readouterr().out
    processor.close()
    assert "destroyed\n" in capfd.readouterr().out


def test_a_batch_has_its_count_and_each_its_answer() -> None:
    processor = make(CLASS)
    assert processor.batch
    requests = [Request.build(body) for body in (b"a", b"", b"c" * 100)]
    assert processor.handle_batch()(requests) == (
        [(200, b"3:a", b""), (200, b"3:", b""), (200, b"3:" + b"c" * 100, b"")],
        (1, 3, 0),
    )


def test_an_exception_is_the_answer_to_the_request_that_is_to_blame(
    capfd: pytest.CaptureFixture[str],
) -> None:
    batch = make(CLASS).handle_batch()
    bodies = [b"a", b"b", b"throw", b"c", b"d", b"lose", b"e"]
    answers, _ = batch([Request.build(body) for body in bodies])
    lost = answers.pop(5)
    assert answers == [
        (200, b"2:a", b""),
        (200, b"2:b", b""),
        (503, b"the whole batch", b""),
        (200, b"1:c", b""),
        (200, b"1:d", b""),
        (200, b"1:e", b""),
    ]
    assert isinstance(lost, Raised)
    assert str(lost) == "process_batch gave 0 answers to 1 request"
    told = "a batch of 7 requests raised the whole batch; its halves are called by themselves"
    assert told in capfd.readouterr().err


def test_a_request_nobody_waits_for_is_not_tried_again() -> None:
    batch = make(CLASS).handle_batch()
    given = [
        Request.build(b"a", cancelled=True),
        Request.build(b"throw", cancelled=True),
        Request.build(b"b"),
    ]
    answers, _ = batch(given)
    assert answers == [(400, b"nobody waited for it any more", b"")] * 2 + [(200, b"1:b", b"")]


# -- the table, in C


def test_the_structures_are_as_large_as_the_compilers() -> None:
    request, response, _ = map(int, ask(make(TABLE), "", b"released")[1].split())
    assert (request, response) == (cpp_v1.REQUEST.size, cpp_v1.RESPONSE.size)


def test_what_is_to_be_released_is_released_once() -> None:
    processor = make(TABLE)
    told = [int(ask(processor, "", b"released")[1].split()[2]) for _ in range(3)]
    assert told == [told[0], told[0] + 1, told[0] + 2]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"hello", 200, b"hello"),
        (b"nothing", 200, b""),
        (b"zero", 200, b""),
        (b"wrong", 500, b"the processor answered with body 0x0 of 9 bytes"),
        (b"far", 500, b"of 18446744073709551615 bytes"),
        (b"field", 500, b"a header field with NULL"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("-DONLY_BATCH",)])
def test_responses_of_every_kind(body: bytes, status: int, text: bytes, flags: tuple[str, ...]) -> None:
    got = ask(make(TABLE, *flags), "", body)
    assert got[0] == status
    assert text in got[1]


def test_a_table_in_c_refuses_with_its_message() -> None:
    with pytest.raises(Failed, match="initialize failed with 3: told to refuse"):
        make(TABLE, config="refuse")


@pytest.mark.parametrize("flag", ["-DVERSION=2", "-DSIZE=8"])
def test_a_table_of_another_version_is_refused(flag: str) -> None:
    with pytest.raises(Failed, match="this engine knows version 1 of 40 bytes"):
        make(TABLE, flag)


# -- the header itself


@pytest.mark.parametrize(
    ("command", "header"),
    [
        ("gcc -std=c99", "processor.h"),
        ("gcc -std=c17", "processor.h"),
        ("g++ -x c++ -std=c++17", "processor.h"),
        ("g++ -x c++ -std=c++17", "processor.hpp"),
        ("g++ -x c++ -std=c++20", "processor.hpp"),
    ],
)
def test_the_headers_compile_without_a_warning(tmp_path: Path, command: str, header: str) -> None:
    compiler, *flags = command.split()
    compiled.needs(compiler, compiler)
    source = tmp_path / "only.c"
    source.write_text(f"#define EAS_PLAIN_INTERFACE\n#include <eas/{header}>\n")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only"]
    result = subprocess.run(
        [compiler, *flags, *warnings, f"-I{compiled.INCLUDE}", str(source)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


# -- units of work


def test_units_over_a_link(start_batches: Callable[..., EngineEnd]) -> None:
    end = start_batches(make(CLASS), 2)
    large = b"large " * 100_000
    end.hand_batch(b"a", large, b"throw", b"b")
    *answers, batched = end.take(5)
    answers.sort(key=lambda each: each.slot)  # those that aren't plain come first
    assert [(each.status, each.body) for each in answers] == [
        (200, b"2:a"),
        (200, b"2:" + large),
        (503, b"the whole batch"),
        (200, b"1:b"),
    ]
    assert (batched.kind, wire.BATCH.unpack(batched.body)) == (wire.BATCHED, (4, 1, 4, 0))


def test_a_request_of_a_unit_sees_its_own_head_and_its_own_flag(
    start_batches: Callable[..., EngineEnd],
) -> None:
    teller = """
        #include <eas/processor.hpp>
        struct Teller : eas::Processor {
            std::vector<eas::Response> process_batch(const std::vector<eas::Request>& requests) override {
                std::vector<eas::Response> answers;
                for (const eas::Request& one : requests) {
                    while (one.path() == "/cancelled" && !one.cancelled()) {}
                    const std::string flag = one.cancelled() ? "!" : "";
                    answers.emplace_back(std::string(one.path()) + " " + one.id() + flag);
                }
                return answers;
            }
        };
        EAS_REGISTER_PROCESSOR(Teller)
    """
    processor = Cpp(
        {"entry": str(compiled.text_library(teller)), "model_entry": "", "model_config": "", "threads": None}
    )
    processor.initialize()
    end = start_batches(processor)
    heads = [b"GET /one HTTP/1.1", b"GET /cancelled HTTP/1.1", b"GET /three HTTP/1.1"]
    end.socket.sendall(end.unit(0, b"", b"", b"", heads=heads))
    eventually(lambda: end.begun(2), "the unit was begun")
    end.withdraw(1)
    assert [each.body for each in end.take(4)[:3]] == [
        b"/one test-0000",
        b"/cancelled test-0001!",
        b"/three test-0002",
    ]


@pytest.mark.parametrize("body", [b"released", b"nothing", b"wrong", b"field"])
def test_a_unit_in_c_has_each_answer_released(start_batches: Callable[..., EngineEnd], body: bytes) -> None:
    processor = make(TABLE, "-DONLY_BATCH")
    end = start_batches(processor)
    end.hand_batch(body, b"good", body)
    statuses = [each.status for each in sorted(end.take(4)[:3], key=lambda each: each.slot)]
    assert statuses == ([200] * 3 if body in {b"released", b"nothing"} else [500, 200, 500])
