"""Java processors in a real engine: what clients see of them, and how a start that can't be is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from support import java
from support.client import Answer
from support.engine import TOKEN, Engine, eventually
from support.engine import service as config
from support.engines import Engines
from support.repository import ROOT

DIGITS = ROOT / "examples" / "digits"


def service(jar: Path, **given: Any) -> dict[str, Any]:
    """Fields of a service.json for a jar."""
    return {
        "processor_type": "java",
        "processor_path": str(jar),
        "processor_entry": "",
        "processor_mainclass": "Faults",
        **given,
    }


@pytest.fixture(scope="module")
def faulty(module_engines: Engines) -> Engine:
    """One engine for the tests that leave its instance alive."""
    jar = java.jar("Faults.java")
    return module_engines(**service(jar, model_config={"answer": 42}))


def test_it_echoes_small_and_large_bodies(faulty: Engine) -> None:
    for size in (0, 1, 1000, 300_000, 3_000_000):
        body = os.urandom(size)
        assert faulty.ask(body=body).body == body


def test_the_config_reached_it_as_text(faulty: Engine) -> None:
    assert """model_entry='' model_config='{"answer":42}'""" in faulty.log.replace(": 42", ":42")


def test_an_exception_is_400_with_its_message_and_the_trace_stays_in_the_log(faulty: Engine) -> None:
    answer = faulty.ask(body=b"do=throw&message=what+is+wrong")
    assert (answer.status, answer.body) == (400, b"what is wrong\n")
    eventually(lambda: "Caused by: java.io.IOException: what lay beneath" in faulty.log, "the log has it")
    assert "at Faults.fail(Faults.java:" in faulty.log
    assert faulty.ask(body=b"do=throw_bare").body == b"java.lang.UnsupportedOperationException\n"
    assert faulty.ask(body=b"do=overflow").body == b"java.lang.StackOverflowError\n"


def test_what_it_prints_is_in_the_log(faulty: Engine) -> None:
    faulty.ask(body=b"do=print&text=%E4%BD%A0%E5%A5%BD")
    eventually(lambda: "你好" in faulty.log, "the line is in the log")


def test_as_many_calls_run_at_once_as_there_are_threads(faulty: Engine) -> None:
    answers: list[Answer] = []

    def call() -> None:
        answers.append(faulty.ask(body=b"do=meet&parties=5"))

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 5


def test_the_status_tells_what_it_is(faulty: Engine) -> None:
    assert faulty.instance()["state"] == "READY"


@pytest.mark.parametrize("told", [b"do=exit&code=7", b"do=vanish", b"do=exhaust", b"do=segfault", b"do=kill"])
def test_its_death_costs_what_was_in_flight_and_it_comes_back(engines: Engines, told: bytes) -> None:
    jar = java.jar("Faults.java")
    engine = engines(**service(jar), metadata={"java_opts": ["-Xmx64m"]})
    answer = engine.ask(body=told)
    assert answer.status == 500
    eventually(lambda: sum(engine.instance()["restarts"].values()) == 1, "it is restarted")
    engine.wait_ready()
    assert engine.ask(body=b"here again").body == b"here again"


LEAVING = """
import eas.sdk.*;
import java.nio.file.*;
public class Leaving implements Processor {
    static byte[] act(byte[] body) throws Exception {
        String[] told = new String(body).split(" ");
        if (told[0].equals("exit")) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                try {
                    Files.createFile(Paths.get(told[1], "begun"));
                    while (!Files.exists(Paths.get(told[1], "end"))) Thread.sleep(5);
                } catch (Exception error) { error.printStackTrace(); }
            }));
            System.exit(3);
        }
        return body;
    }
    @Override public Response process(Request request) throws Exception {
        return Response.of(act(request.bytes()));
    }
}
"""
OLDER = java.PLAIN.format(
    name="Older", construct="", load="", result="byte[]", process="return Leaving.act(data);"
)


@pytest.mark.parametrize("name", ["Older", "Leaving"])
def test_while_shutdown_hooks_run_nothing_is_answered_and_little_is_lost(
    engines: Engines, tmp_path: Path, name: str
) -> None:
    jar = java.jar_of({"Leaving.java": LEAVING, "Older.java": OLDER})
    engine = engines(
        **service(jar, processor_mainclass=name), metadata={"rpc": {"worker_threads": 3, "keepalive": 60000}}
    )
    answers: list[Answer] = []

    def call(body: bytes) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.append(engine.ask(body=body)))
        thread.start()
        return thread

    callers = [call(f"exit {tmp_path}".encode())]
    eventually((tmp_path / "begun").exists, "the hook runs")
    callers += [call(b"next") for _ in range(8)]
    eventually(lambda: engine.metric("eas_in_flight") + len(answers) == len(callers), "all are there")
    eventually(
        lambda: len(answers) == 8 or engine.metric("eas_busy_threads") >= 2, "one has noticed, or none can"
    )
    assert 400 not in [answer.status for answer in answers]
    (tmp_path / "end").touch()
    for caller in callers:
        caller.join()
    statuses = sorted(answer.status for answer in answers)
    assert set(statuses) == {200, 500}
    assert statuses.count(500) <= 4  # one a thread; as a rule the one that left, and the one that noticed
    eventually(lambda: sum(engine.instance()["restarts"].values()) == 1, "it is restarted")
    assert "not running" not in engine.log
    assert "Error" not in engine.log


def test_an_archive_with_jars_and_classes_is_all_on_the_class_path(engines: Engines, tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "lib").mkdir(parents=True)
    sources = {
        "Inner.java": 'package lib; public class Inner { public static String say() { return "inner"; } }',
        "Outer.java": (
            "import lib.Inner; public class Outer { public Outer(String a, String b) {} public void Load() {}"
            " public String Process(byte[] data) throws Exception { return Inner.say() + "
            'new String(Outer.class.getResourceAsStream("/words.txt").readAllBytes()); } }'
        ),
    }
    classes = tmp_path / "classes"
    classes.mkdir()
    java.classes_of(sources, classes)
    java.pack(classes, package / "lib" / "all.jar")
    (package / "words.txt").write_text(" words")
    archive = shutil.make_archive(str(tmp_path / "package"), "gztar", package)
    for path in (package, archive):
        name = Path(path).name.replace(".", "-")
        engine = engines(name=name, **service(Path(path), processor_mainclass="Outer"))
        assert engine.ask(body=b"").body == b"inner words"
        assert engine.stop() == 0


def test_it_stops_in_time_though_its_threads_go_on(engines: Engines) -> None:
    engine = engines(
        **service(java.jar("Faults.java")), environment={"FAULTS_AT_EXIT": "do=print&text=hook+ran"}
    )
    engine.ask(body=b"do=background")
    assert engine.stop() == 0
    assert "hook ran" in engine.log
    assert "the grace period is over" not in engine.log


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"processor_mainclass": "com.example.Nothing"},
            "there is no class com.example.Nothing on the class path",
        ),
        (
            {"environment": {"FAULTS_AT_CONSTRUCT": "do=throw&message=no+model"}},
            "IllegalStateException: no model",
        ),
        (
            {"environment": {"FAULTS_AT_INITIALIZE": "do=throw&message=no+model"}},
            "IllegalStateException: no model",
        ),
        ({"metadata": {"java_opts": ["-XX:+NoSuchThing"]}}, "Unrecognized VM option 'NoSuchThing'"),
        ({"environment": {"JAVA_HOME": "/nowhere"}}, "apt-get install openjdk-17-jre-headless"),
    ],
    ids=["class", "construct", "initialize", "option", "home"],
)
def test_a_start_that_cant_be_ends_with_4_and_says_why(
    engines: Engines, given: dict[str, Any], message: str
) -> None:
    engine = engines.raw(config("faulty", **{**service(java.jar("Faults.java")), **given}))
    assert engine.wait() == 4
    assert message in engine.log


# -- the digits


def test_the_digits_in_java_answer_what_python_answers(engines: Engines, tmp_path: Path) -> None:
    """Byte for byte, over everything that was held out of training; what is no scan gets the same status."""
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("sklearn", reason="scikit-learn trains the example")
    jar, model = built(tmp_path), tmp_path / "model"
    train = [sys.executable, str(DIGITS / "train.py"), str(model)]
    subprocess.run(train, check=True, capture_output=True)
    with numpy.load(model / "held_out.npz", allow_pickle=False) as arrays:
        pixels, truth = arrays["pixels"], arrays["truth"]
    scans = [pixels[start : start + 50].tobytes() for start in range(0, len(pixels), 50)]
    lists = json.dumps([[float(pixel) for pixel in scan] for scan in pixels[:3]], indent=1).encode()
    bodies = [*scans, lists, json.dumps(pixels[0].tolist()).encode()]
    bad = [b"", b"hello", b"[1, 2]", json.dumps([17] * 64).encode(), b"[[1], [1, 2]]", b"[[[1]]]", b"[]"]
    changed = {
        DIGITS / "service.json": {"processor_path": str(DIGITS), "model_path": str(model)},
        DIGITS / "java" / "service.json": {
            "processor_path": str(jar),
            "model_path": str(model / "digits.bin"),
        },
    }
    answers = []
    for file, given in changed.items():
        engine = engines.raw({**json.loads(file.read_text()), "token": TOKEN, **given})
        engine.wait_ready()
        answers.append([engine.ask(body=body) for body in bodies + bad])
        assert engine.stop() == 0
    python, ours = answers
    good = len(bodies)
    assert [answer.body for answer in ours[:good]] == [answer.body for answer in python[:good]]
    statuses = [200] * good + [400] * len(bad)
    assert [answer.status for answer in ours] == [answer.status for answer in python] == statuses
    said = [each["digit"] for answer in ours[: len(scans)] for each in json.loads(answer.body)]
    assert (numpy.array(said) == truth).mean() > 0.97


def built(directory: Path) -> Path:
    """The example's jar, made as its Makefile says, from a copy."""
    java.needs_java()
    shutil.copytree(DIGITS / "java", directory / "example", ignore=shutil.ignore_patterns("build"))
    subprocess.run(["make", "-C", str(directory / "example")], check=True, capture_output=True)
    return directory / "example" / "build" / "digits.jar"
