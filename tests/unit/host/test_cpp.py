"""The plain C interface, over a real link and from Requests: codes, outputs, sizes, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eas_host import wire
from eas_host.adapters.cpp import Cpp
from eas_host.adapters.cpp_memory import MEMORY, address_of
from eas_host.adapters.cpp_plain import status_of
from eas_host.adapters.cpp_server import Call
from eas_host.load import Failed
from eas_sdk import Request
from support import compiled
from support.engine_end import Answered, EngineEnd

CODES = "codes.cpp"


def make(name: str, *flags: str, model: str = "", config: str = "", **start: Any) -> Cpp:
    """An initialised processor of ``tests/data/cpp``."""
    message = {
        "entry": str(compiled.library(name, *flags)),
        "model_entry": model,
        "model_config": config,
        "threads": None,
        **start,
    }
    processor = Cpp(message)
    processor.initialize()
    return processor


Start = Callable[..., EngineEnd]


@pytest.fixture
def start() -> Iterator[Start]:
    ends: list[EngineEnd] = []

    def start(processor: Cpp, threads: int = 1) -> EngineEnd:
        ends.append(EngineEnd(processor.handle(), threads))
        return ends[-1]

    yield start
    for end in ends:
        end.close()


@pytest.fixture(params=["link", "request"])
def ask(request: pytest.FixtureRequest, start: Start) -> Callable[[Cpp, bytes], tuple[int, bytes]]:
    """Status and body: once as the link does it, once as the warm-up does."""

    def over_link(processor: Cpp, body: bytes) -> tuple[int, bytes]:
        end = start(processor)
        end.hand(body)
        (answer,) = end.take()
        return answer.status, answer.body

    def as_request(processor: Cpp, body: bytes) -> tuple[int, bytes]:
        status, content, lines = processor.handle()(Request.build(body))
        assert lines == b""
        return status, content

    return over_link if request.param == "link" else as_request


Ask = Callable[[Cpp, bytes], tuple[int, bytes]]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, 200),
        (200, 200),
        (201, 201),
        (404, 404),
        (599, 599),
        (-1, 400),
        (1, 400),
        (100, 400),
        (199, 400),
        (600, 400),
        (2147483647, 400),
        (-2147483648, 400),
    ],
)
def test_what_is_returned_is_the_status(ask: Ask, code: int, status: int) -> None:
    assert ask(make(CODES), b"%d copy" % code) == (status, b"%d copy" % code)
    assert status_of(code) == status


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"200 null", (200, b"")),
        (b"404 null", (404, b"")),
        (b"200 literal0", (200, b"")),
        (b"201 untouched", (201, b"")),
        (b"200 null5", (500, b"the processor returned NULL with output_size 5")),
        (b"404 null5", (500, b"the processor returned NULL with output_size 5")),
        (b"200 negative", (500, b"the processor returned an output with output_size -3")),
        (b"", (200, b"empty")),
    ],
)
def test_outputs_that_are_no_bytes(ask: Ask, body: bytes, answer: tuple[int, bytes]) -> None:
    assert ask(make(CODES), body) == answer


def test_what_one_call_left_is_not_the_answer_of_the_next(start: Start) -> None:
    end = start(make(CODES))
    for body, content in ((b"0 copy", b"0 copy"), (b"0 untouched", b""), (b"201 copy", b"201 copy")):
        end.hand(body, b"0 null5", b"0 null")
        answer, _, empty = end.take(3)
        assert (answer.body, empty.body) == (content, b"")


@pytest.mark.parametrize(("model", "config"), [("", ""), ("/m/d/", '{"ä": 1}'), ("/m/f.bin", "text")])
def test_what_initialize_gets(ask: Ask, model: str, config: str) -> None:
    assert ask(make(CODES, model=model, config=config), b"model") == (200, f"{model}|{config}".encode())


def test_the_state_of_a_failed_initialize_is_told() -> None:
    with pytest.raises(Failed, match=r"initialize\(\) set state -7") as caught:
        make(CODES, config="refuse")
    assert caught.value.stage == "initialize"


def test_a_config_that_a_c_string_would_cut_is_refused() -> None:
    with pytest.raises(Failed, match="NUL"):
        make(CODES, config="a\0b")


@pytest.mark.parametrize("size", [0, 1, wire.SPILL_BYTES - 1, wire.SPILL_BYTES, (5 << 20) + 3])
def test_bodies_of_any_size_come_back(start: Start, size: int) -> None:
    body = b"0" + b" copy"[: max(0, size - 1)] if size < 7 else b"echo" + bytes(range(256)) * (size // 256)
    end = start(make("faults.cpp"))
    end.hand(body)
    (answer,) = end.take()
    assert (answer.status, answer.body) == (200, body)


def test_a_large_body_is_not_copied(start: Start) -> None:
    """The library sees the very place in the arena where the engine received the body."""
    end = start(make(CODES))
    end.hand(b"address" + bytes(wire.SPILL_BYTES))
    (answer,) = end.take()
    seen = int(answer.body, 16)
    mapped = address_of(end.server.bodies)
    assert mapped <= seen < mapped + len(end.server.bodies)


def test_five_threads_are_inside_at_once(start: Start) -> None:
    """Every call returns when five are in, so one that held the GIL, or a lock, would keep them all."""
    end = start(make(CODES), threads=5)
    end.hand(*[b"meet"] * 5)
    assert [answer.body for answer in end.take(5)] == [b"met"] * 5


def test_many_requests_of_many_threads_each_get_their_own_answer(start: Start) -> None:
    end = start(make("faults.cpp"), threads=5)
    bodies = [b"request %d " % number + b"x" * (number % 700) for number in range(2000)]
    answers: list[Answered] = []
    for first in range(0, len(bodies), 100):
        end.hand(*bodies[first : first + 100], first=first)
        answers += end.take(100)
    assert {answer.slot: answer.body for answer in answers} == dict(enumerate(bodies))


def test_a_withdrawn_request_never_reaches_the_library(start: Start) -> None:
    end = start(make(CODES))
    frame = end.frame(7, b"0 copy")
    end.withdraw(7)
    end.socket.sendall(frame)
    (answer,) = end.take()
    assert answer.kind == wire.SKIPPED


class Oversized:
    """Two gigabytes and more that nobody has to hold: only its length is looked at."""

    def __init__(self) -> None:
        self._view = MEMORY[: 2**31]

    def __getattr__(self, name: str) -> Any:
        return getattr(Request.build(b""), name)

    @property
    def body(self) -> memoryview:
        return self._view


@pytest.mark.parametrize(
    ("name", "flags", "options"),
    [
        (CODES, (), {}),
        ("optional.cpp", ("-DWITH_ASYNC",), {}),
        ("optional.cpp", ("-DWITH_BATCH",), {"cpp_batch": True}),
    ],
)
def test_a_body_whose_size_is_no_int_is_refused(
    name: str, flags: tuple[str, ...], options: dict[str, Any]
) -> None:
    request: Any = Oversized()
    status, content, _ = make(name, *flags, **options).handle()(request)
    assert status == 400
    assert content.startswith(b"a body of 2147483648 bytes: the C interface passes sizes as int")


def test_model_info_is_written_into_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    make(CODES)
    assert "serving model /m/a/1\n" in capfd.readouterr().out


def test_a_line_that_the_library_prints_is_seen_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    make("faults.cpp", model="/m/", config="{}")
    assert "model_entry='/m/' model_config='{}'\n" in capfd.readouterr().out


def test_addresses_of_all_kinds_of_bytes() -> None:
    data = b"some bytes"
    for each in (data, bytearray(data), memoryview(data), memoryview(b"x" + data)[1:]):
        at = address_of(each)
        assert MEMORY[at : at + len(data)] == data
    assert bytes(MEMORY[address_of(memoryview(b"")) :][:1]) == b"\0"
    with pytest.raises(BufferError):
        address_of(memoryview(data)[::2])


def test_an_error_of_the_host_itself_ends_no_thread(start: Start) -> None:
    processor = make(CODES)
    good = processor.handle()

    def now_and_then(*fields: Any) -> Any:
        if bytes(MEMORY[fields[0] : fields[0] + 4]) == b"fail":
            raise RuntimeError("a mistake")
        return good.invoke(*fields)

    end = EngineEnd(Call(now_and_then, good.done), 1)
    end.hand(b"fail", b"0 copy")
    assert end.take() == [Answered(wire.RAISED, 0, 400, b"", b"a mistake")]
    assert end.take()[0].body == b"0 copy"
    end.close()
