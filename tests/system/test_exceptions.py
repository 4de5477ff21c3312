"""An exception of a processor reaches its client in the same way, whatever language threw it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eas_host.traces import WHOLE
from eas_host.wire import SPILL_BYTES
from support import compiled, java
from support.client import Answer
from support.engine import TOKEN, Engine, eventually
from support.engines import Engines

# Each throws its request's body, without the blanks behind it.
PYTHON = """
import eas_sdk

class Throws(eas_sdk.Processor):
    def process(self, request):
        raise ValueError(bytes(request.body).decode().rstrip(" "))

    def process_batch(self, requests):
        for request in requests:
            self.process(request)
"""
ALLSPARK = """
import allspark

class Throws(allspark.BaseProcessor):
    def process(self, data):
        raise ValueError(data.decode().rstrip(" "))

if __name__ == "__main__":
    Throws().run()
"""
CPP = """
#include <eas/processor.hpp>

class Throws : public eas::Processor {
public:
    eas::Response process(const eas::Request& request) override {
        const std::string body(request.body());
        throw std::runtime_error(body.substr(0, body.find_last_not_of(' ') + 1));
    }
    std::vector<eas::Response> process_batch(const std::vector<eas::Request>& requests) override {
        return {process(requests.front())};
    }
};
EAS_REGISTER_PROCESSOR(Throws)
"""
JAVA = """
import eas.sdk.BatchProcessor;
import eas.sdk.Request;
import eas.sdk.Response;
import java.util.List;

public class Throws implements BatchProcessor {
    public Response process(Request request) {
        throw new IllegalArgumentException(request.text().replaceAll(" +$", ""));
    }
    public List<Response> processBatch(List<Request> requests) {
        return List.of(process(requests.get(0)));
    }
}
"""
PLAIN_JAVA = """
import java.nio.charset.StandardCharsets;

public class Throws {
    public Throws(String modelEntry, String modelConfig) {}
    public void Load() {}
    public byte[] Process(byte[] input) {
        throw new IllegalArgumentException(new String(input, StandardCharsets.UTF_8).replaceAll(" +$", ""));
    }
}
"""


def python_service(text: str) -> Callable[[Path], dict[str, Any]]:
    def make(directory: Path) -> dict[str, Any]:
        (directory / "app.py").write_text(text)
        return {"processor_type": "python", "processor_path": str(directory), "processor_entry": "app.py"}

    return make


def java_service(text: str) -> Callable[[Path], dict[str, Any]]:
    def make(_: Path) -> dict[str, Any]:
        jar = java.jar_of({"Throws.java": text})
        return {"processor_type": "java", "processor_path": str(jar), "processor_mainclass": "Throws"}

    return make


def cpp_service(directory: Path) -> dict[str, Any]:
    shutil.copy(compiled.text_library(CPP), directory / "libthrows.so")
    return {"processor_type": "cpp", "processor_path": str(directory), "processor_entry": "libthrows.so"}


SINGLE = {
    "python": python_service(PYTHON),
    "allspark": python_service(ALLSPARK),
    "cpp": cpp_service,
    "java": java_service(JAVA),
    "plain-java": java_service(PLAIN_JAVA),
}
BATCHED = {f"{name}-batched": SINGLE[name] for name in ("python", "cpp", "java")}


@pytest.fixture(scope="module", params=[*SINGLE, *BATCHED])
def engine(
    request: pytest.FixtureRequest, module_engines: Engines, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    made = {**SINGLE, **BATCHED}[request.param](tmp_path_factory.mktemp("code"))
    rpc = {"batching": request.param in BATCHED, "worker_threads": 1, "keepalive": 60_000}
    config = {"name": request.param, "token": TOKEN, **made, "metadata": {"rpc": rpc}}
    started = module_engines.raw(config)
    started.wait_ready()
    yield started
    started.kill()


ON_EVERY_ANSWER = {"date", "server", "keep-alive"}


def ask(engine: Engine, body: bytes) -> Answer:
    with engine.connect() as client:
        return client.ask(body=body, headers={"X-Request-Id": "mine"})


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param("what is wrong", "what is wrong", id="short"),
        pytest.param("two\nlines: é", "two lines: é", id="with lines"),
        pytest.param("in memory" + " " * SPILL_BYTES, "in memory", id="large request"),
        pytest.param("x" * 20_000, "x" * 16 * 1024, id="long message"),
    ],
)
def test_every_language_gives_the_same_answer(engine: Engine, sent: str, told: str) -> None:
    answer = ask(engine, sent.encode())
    headers = {name: value for name, value in answer.headers.items() if name not in ON_EVERY_ANSWER}
    assert (answer.status, answer.text) == (400, told)
    assert headers == {
        "content-type": "text/plain; charset=utf-8",
        "x-request-id": "mine",
        "x-eas-error": "processor_exception",
        "x-eas-retryable": "false",
        "content-length": str(len(told.encode()) + 1),
    }


def test_the_log_names_the_request_and_says_what_was_thrown(engine: Engine) -> None:
    ask(engine, b"for the log")
    eventually(lambda: "request mine raised" in engine.log, "the request is named")
    eventually(lambda: "for the log" in engine.log.partition("request mine raised")[2], "and what it was")


def test_a_flood_of_them_does_not_fill_the_log(engine: Engine) -> None:
    for number in range(WHOLE + 1):
        ask(engine, f"flood {number}".encode())
    last = rf"request mine raised .*flood {WHOLE} \(its trace is above; \d+ times in this minute\)"
    eventually(lambda: re.search(last, engine.log), "the last of them is one line")


def test_an_exception_without_a_message_is_not_an_empty_answer(engine: Engine) -> None:
    answer = ask(engine, b" ")
    assert (answer.status, answer.headers["x-eas-error"]) == (400, "processor_exception")
    names = {"ValueError", "a C++ exception without a message", "java.lang.IllegalArgumentException"}
    assert answer.text in names


def test_it_is_counted_as_an_exception(engine: Engine) -> None:
    before = engine.metric("eas_rejects_total", reason="processor_exception")
    ask(engine, b"once more")
    engine.wait_metric("eas_rejects_total", before + 1, reason="processor_exception")
