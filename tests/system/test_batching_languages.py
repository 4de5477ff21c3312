"""``rpc.batching`` with processors in C++, C and Java: who waits goes together, one bad one fails alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import compiled, java
from support.client import Client
from support.engine import TOKEN, Engine, eventually
from support.engines import Engines, Latch

# A body "wait FILE" waits for the file, "bad" fails the batch that it is in, "exit" ends the process. Every
# other answer is the size of its batch.
CPP = """
#include <eas/processor.hpp>
#include <unistd.h>

struct Sizes : eas::Processor {
    std::vector<eas::Response> process_batch(const std::vector<eas::Request>& requests) override {
        for (const eas::Request& request : requests) {
            const std::string body(request.body());
            while (body.compare(0, 5, "wait ") == 0 && access(body.c_str() + 5, F_OK) != 0) usleep(1000);
            if (body == "bad") throw eas::Error(422, "a bad one");
            if (body == "exit") _exit(3);
        }
        return std::vector<eas::Response>(requests.size(), eas::Response(std::to_string(requests.size())));
    }
};
EAS_REGISTER_PROCESSOR(Sizes)
"""
C = """
#define EAS_PLAIN_INTERFACE
#include <eas/processor.h>
#include <stdio.h>
#include <unistd.h>

void *initialize(const char *model_entry, const char *model_config, int *state) {
    (void)model_entry;
    (void)model_config;
    *state = 0;
    return NULL;
}

int batch_process(void *model, const void *inputs[], int *input_sizes, void *outputs[], int *output_sizes,
                  int count) {
    int at, code = 200;
    (void)model;
    for (at = 0; at < count; ++at) {
        char body[4096];
        snprintf(body, sizeof body, "%.*s", input_sizes[at], (const char *)inputs[at]);
        while (strncmp(body, "wait ", 5) == 0 && access(body + 5, F_OK) != 0) usleep(1000);
        if (strcmp(body, "exit") == 0) _exit(3);
        if (strcmp(body, "bad") == 0) code = 422;
        outputs[at] = malloc(64);
        output_sizes[at] = snprintf(outputs[at], 64, code == 422 ? "a bad one" : "%d", count);
    }
    return code;
}
"""
JAVA = """
import eas.sdk.BatchProcessor;
import eas.sdk.Request;
import eas.sdk.Response;
import java.io.File;
import java.util.Collections;
import java.util.List;

public class Sizes implements BatchProcessor {
    public List<Response> processBatch(List<Request> requests) throws Exception {
        for (Request request : requests) {
            String body = request.text();
            while (body.startsWith("wait ") && !new File(body.substring(5)).exists()) Thread.sleep(1);
            if (body.equals("bad")) throw new IllegalArgumentException("a bad one");
            if (body.equals("exit")) System.exit(3);
        }
        return Collections.nCopies(requests.size(), Response.of("" + requests.size()));
    }
}
"""
LANGUAGES = ("cpp", "c", "java")


def service(language: str, directory: Path) -> dict[str, Any]:
    """What service.json says of a processor in that language."""
    if language == "java":
        jar = java.jar_of({"Sizes.java": JAVA})
        return {"processor_type": "java", "processor_path": str(jar), "processor_mainclass": "Sizes"}
    library = (
        compiled.text_library(CPP, "-D_DEFAULT_SOURCE")
        if language == "cpp"
        else compiled.text_library(C, "-D_DEFAULT_SOURCE", suffix=".c")
    )
    directory.mkdir(parents=True)
    shutil.copy(library, directory / "libsizes.so")
    return {
        "processor_type": "cpp",
        "processor_path": str(directory),
        "processor_entry": "libsizes.so",
    }


@pytest.fixture(scope="module", params=LANGUAGES)
def engine(
    request: pytest.FixtureRequest, module_engines: Engines, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    rpc = {
        "batching": True,
        "cpp_batch": request.param == "c",
        "max_batch_size": 4,
        "worker_threads": 1,
        "keepalive": 60_000,
    }
    given = service(request.param, tmp_path_factory.mktemp("code") / request.param)
    name = f"sizes_{request.param}"
    made = module_engines.raw({"name": name, "token": TOKEN, **given, "metadata": {"rpc": rpc}})
    made.wait_ready()
    yield made
    made.kill()


def post(engine: Engine, body: str) -> Client:
    client = engine.connect()
    client.post(body=body.encode())
    return client


def behind(engine: Engine, latch: Latch, *bodies: str) -> list[tuple[int, str]]:
    """Status and body for each of these, which waited together while the only thread was busy."""
    counted = engine.metric("eas_batches_total")
    busy = post(engine, f"wait {latch.path}")
    engine.wait_metric("eas_busy_threads", 1)
    clients = []
    for number, body in enumerate(bodies, 1):
        clients.append(post(engine, body))
        engine.wait_metric("eas_queue_depth", number)
    latch.open()
    answers = [client.read() for client in (busy, *clients)]
    assert (answers[0].status, answers[0].body) == (200, b"1")
    eventually(lambda: engine.metric("eas_batches_total") >= counted + 2, "both are counted")
    return [(answer.status, answer.text) for answer in answers[1:]]


def test_requests_that_wait_go_together_as_many_as_a_batch_holds(engine: Engine, latch: Latch) -> None:
    answers = behind(engine, latch, *"abcdef")
    assert answers == [(200, "4")] * 4 + [(200, "2")] * 2


def test_who_is_alone_is_a_batch_of_one(engine: Engine) -> None:
    assert engine.ask(body=b"a").body == b"1"


def test_one_bad_request_fails_alone(engine: Engine, latch: Latch) -> None:
    answers = behind(engine, latch, "a", "bad", "b", "c")
    status = 400 if engine.name == "sizes_java" else 422
    assert answers == [(200, "1"), (status, "a bad one"), (200, "2"), (200, "2")]


def test_a_batch_that_ends_the_process_costs_itself_and_the_service_comes_back(
    engine: Engine, latch: Latch
) -> None:
    answers = behind(engine, latch, "a", "exit", "b")
    assert [status for status, _ in answers] == [500] * 3
    engine.wait_ready()
    assert engine.ask(body=b"a").body == b"1"
