"""Processors in C and C++, served: the plain interface, libraries beside it, failed starts, the digits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support import compiled
from support.engine import TOKEN, Engine
from support.engines import Engines
from support.repository import ROOT
from support.scripted_engine import find_python

DIGITS = ROOT / "examples" / "digits"
NO_CHANCE = 4  # exit status of a processor that never started


def config(entry: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "native",
        "token": TOKEN,
        "processor_type": "cpp",
        "processor_path": str(entry.parent),
        "processor_entry": entry.name,
        **more,
    }


def placed(directory: Path, library: Path, name: str = "libprocessor.so") -> Path:
    """A library in a directory of its own, as a package would hold it."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(library, directory / name)
    return directory / name


@pytest.fixture(scope="module")
def echo(module_engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    entry = placed(tmp_path_factory.mktemp("echo"), compiled.library("echo.cpp"))
    engine = module_engines.raw(config(entry))
    engine.wait_ready()
    yield engine
    assert engine.stop() == 0


# -- the example of the documentation


def test_a_request_without_data_gets_the_processors_400(echo: Engine) -> None:
    with echo.connect() as client:
        client.send(client.head(method="GET", length=None))
        answer = client.read()
    assert (answer.status, answer.body) == (400, b"input data should not be empty")
    assert "x-eas-error" not in answer.headers


def test_text_comes_back(echo: Engine) -> None:
    answer = echo.ask(body=b"some text")
    assert (answer.status, answer.body) == (200, b"some text")


@pytest.mark.parametrize("size", [256 * 1024 - 1, 256 * 1024, 9_000_001])
def test_a_large_body_goes_through_shared_memory_and_back(echo: Engine, size: int) -> None:
    body = bytes(range(251)) * (size // 251) + b"x" * (size % 251)
    answer = echo.ask(body=body)
    assert answer.status == 200
    assert answer.body == body


def test_many_clients_each_get_their_own_bytes(echo: Engine) -> None:
    def ask(number: int) -> bool:
        bodies = [b"%d-%d " % (number, turn) * (1 + turn * 997) for turn in range(20)]
        with echo.connect() as client:
            return all(client.ask(body=body).body == body for body in bodies)

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(12)))


def test_the_status_tells_its_threads(echo: Engine) -> None:
    assert echo.instance()["threads"]["all"] == 5


# -- where it stands


def test_libraries_beside_it_and_in_lib_are_found_and_the_model_is_where_it_says(
    engines: Engines, tmp_path: Path
) -> None:
    package, model = tmp_path / "package", tmp_path / "model" / "1"
    model.mkdir(parents=True)
    build_with_dependencies(package)
    engine = engines.raw(config(package / "libmain.so", model_path=str(tmp_path / "model"), model_entry="1/"))
    engine.wait_ready()
    told = dict(line.split("=", 1) for line in engine.ask(body=b"?").body.decode().splitlines())
    assert told["beside"] == "1"
    assert told["in_lib"] == "2"
    assert told["late"] == "1"
    assert told["cwd_has"] == "libmain.so"
    assert told["model_entry"].endswith("model/1/")
    assert told["model_entry"].startswith("/")


def build_with_dependencies(package: Path) -> None:
    """libmain.so, which needs libbeside.so and lib/libin_lib.so and opens libbeside.so once more by name."""
    compiled.needs("g++", "g++")
    (package / "lib").mkdir(parents=True)
    parts = {"beside": (package, 1), "in_lib": (package / "lib", 2)}
    for name, (place, number) in parts.items():
        source = package.parent / f"{name}.cpp"
        source.write_text(f'extern "C" int {name}() {{ return {number}; }}\n')
        build(source, place / f"lib{name}.so")
    main = package.parent / "main.cpp"
    main.write_text(
        """
        #include <cstdlib>
        #include <cstring>
        #include <dlfcn.h>
        #include <string>
        #include <unistd.h>
        extern "C" int beside();
        extern "C" int in_lib();
        static std::string entry;
        extern "C" void* initialize(const char* model_entry, const char*, int* state) {
            entry = model_entry;
            *state = 0;
            return &entry;
        }
        extern "C" int process(void*, const void*, int, void** output, int* size) {
            const std::string text = "beside=" + std::to_string(beside()) +
                "\\nin_lib=" + std::to_string(in_lib()) +
                "\\nlate=" + (dlopen("libbeside.so", RTLD_NOW) ? "1" : dlerror()) +
                "\\ncwd_has=" + (access("libmain.so", F_OK) == 0 ? "libmain.so" : "nothing") +
                "\\nmodel_entry=" + entry + "\\n";
            *output = strdup(text.c_str());
            *size = static_cast<int>(text.size());
            return 200;
        }
        """
    )
    build(main, package / "libmain.so", f"-L{package}", f"-L{package}/lib", "-lbeside", "-lin_lib", "-ldl")


def build(source: Path, library: Path, *flags: str) -> None:
    subprocess.run(["g++", "-shared", "-fPIC", "-o", str(library), str(source), *flags], check=True)


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_threads_frames_and_shared_memory_of_other_pythons(
    engines: Engines, tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    monkeypatch.setenv("EAS_PROCESSOR_PYTHON", python)
    for name in ("versioned.cpp", "echo.cpp"):
        engine = engines.raw(config(placed(tmp_path / name, compiled.library(name))))
        engine.wait_ready()
        for body in (b"small", b"large" * 200_000, b"again"):
            assert engine.ask(body=body).body == body
        assert Path(f"/proc/{engine.host}/exe").resolve() == Path(python).resolve()
        assert engine.stop() == 0


def test_destroy_is_called_when_the_service_ends(engines: Engines, tmp_path: Path) -> None:
    engine = engines.raw(config(placed(tmp_path / "package", compiled.library("versioned.cpp"))))
    engine.wait_ready()
    assert engine.stop() == 0
    assert "destroyed" in engine.log


def test_batch_process_is_used_when_asked_for(engines: Engines, tmp_path: Path) -> None:
    entry = placed(tmp_path / "package", compiled.library("optional.cpp", "-DWITH_BATCH"))
    engine = engines.raw(config(entry, metadata={"rpc.cpp_batch": True}))
    engine.wait_ready()
    assert engine.ask(body=b"200 hello").body == b"1/1:200 hello"


def test_an_exception_that_escapes_costs_the_request_and_the_next_one_is_answered(
    engines: Engines, tmp_path: Path
) -> None:
    engine = engines.raw(config(placed(tmp_path / "package", compiled.library("faults.cpp"))))
    engine.wait_ready()
    answer = engine.ask(body=b"do=throw&message=ouch")
    assert answer.status == 500
    assert answer.headers["x-eas-error"].startswith("instance_")
    assert engine.ask(body=b"after").body == b"after"
    assert "terminate called" in engine.log
    assert "ouch" in engine.log


# -- starts that fail


def failed(engines: Engines, entry: Path, **more: Any) -> str:
    """The log of an engine that gave up."""
    engine = engines.raw(config(entry, **more))
    assert engine.wait() == NO_CHANCE
    return engine.log


def test_a_library_without_process(engines: Engines, tmp_path: Path) -> None:
    library = compiled.text_library(
        'extern "C" void* initialize(const char*, const char*, int*) { return 0; }'
    )
    log = failed(engines, placed(tmp_path / "package", library))
    assert "libprocessor.so: it exports no process(); its functions: initialize" in log


def test_a_library_for_another_machine(engines: Engines, tmp_path: Path) -> None:
    entry = placed(tmp_path / "package", compiled.library("echo.cpp"))
    image = bytearray(entry.read_bytes())
    image[18:20] = b"\x28\x00"
    entry.write_bytes(image)
    assert "is built for arm, 64 bits; this host runs" in failed(engines, entry)


def test_a_library_that_needs_one_that_is_not_there(engines: Engines, tmp_path: Path) -> None:
    build_with_dependencies(tmp_path / "package")
    (tmp_path / "package" / "libbeside.so").unlink()
    log = failed(engines, tmp_path / "package" / "libmain.so")
    assert "libbeside.so: cannot open shared object file" in log


def test_an_initialize_that_refuses(engines: Engines, tmp_path: Path) -> None:
    entry = placed(tmp_path / "package", compiled.library("codes.cpp"))
    assert "initialize() set state -7" in failed(engines, entry, model_config="refuse")


def test_an_entry_that_is_not_there_lists_what_is(engines: Engines, tmp_path: Path) -> None:
    entry = placed(tmp_path / "package", compiled.library("echo.cpp"))
    engine = engines.raw(config(entry.with_name("libother.so")))
    assert engine.wait() == 3
    assert "libprocessor.so" in engine.log


# -- the digits


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sklearn", reason="scikit-learn trains the example")
    directory = tmp_path_factory.mktemp("digits") / "model"
    subprocess.run(
        [sys.executable, str(DIGITS / "train.py"), str(directory)], check=True, capture_output=True
    )
    return directory


@pytest.mark.parametrize("tool", ["make", "cmake"])
def test_the_digits_in_cpp_answer_what_python_answers(
    engines: Engines, model: Path, tmp_path: Path, tool: str
) -> None:
    """Byte for byte, over everything that was held out of training; what is no scan gets the same status."""
    numpy = pytest.importorskip("numpy")
    with numpy.load(model / "held_out.npz", allow_pickle=False) as arrays:
        pixels, truth = arrays["pixels"], arrays["truth"]
    bodies = [pixels[start : start + 50].tobytes() for start in range(0, len(pixels), 50)]
    bodies += [pixels[0].tobytes(), json.dumps(pixels[:3].tolist()).encode()]
    bad = [b"", b"hello", b"[1, 2]", json.dumps([17] * 64).encode(), b"[[1], [1, 2]]"]
    answers = []
    for config_file in (DIGITS / "service.json", DIGITS / "cpp" / "service.json"):
        given = json.loads(config_file.read_text())
        directory = DIGITS if given["processor_type"] == "python" else built(tool, tmp_path / "build")
        given |= {"token": TOKEN, "model_path": str(model), "processor_path": str(directory)}
        engine = engines.raw(given)
        engine.wait_ready()
        answers.append([engine.ask(body=body) for body in bodies + bad])
        assert engine.stop() == 0
    python, cpp = answers
    good = len(bodies)
    assert [answer.body for answer in cpp[:good]] == [answer.body for answer in python[:good]]
    assert (
        [answer.status for answer in cpp] == [answer.status for answer in python] == [200] * good + [400] * 5
    )
    said = [each["digit"] for answer in cpp[: good - 2] for each in json.loads(answer.body)]
    assert (numpy.array(said) == truth).mean() > 0.97


def built(tool: str, directory: Path) -> Path:
    """The example, built as its Makefile or its CMakeLists.txt says."""
    compiled.needs("g++", "g++")
    compiled.needs(tool, tool)
    source = str(DIGITS / "cpp")
    commands = {
        "make": [["make", "-C", source, f"BUILD={directory}"]],
        "cmake": [["cmake", "-S", source, "-B", str(directory)], ["cmake", "--build", str(directory)]],
    }
    for command in commands[tool]:
        subprocess.run(command, check=True, capture_output=True)
    return directory
