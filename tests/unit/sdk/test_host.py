"""The conversation between engine and host, with real host processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.processors import ALLSPARK, NATIVE
from support.scripted_engine import ScriptedEngine, find_python

Write = Callable[..., Path]


def test_allspark_script_on_every_python(python: str, write: Write) -> None:
    with ScriptedEngine(python) as engine:
        hello = engine.serve(write(ALLSPARK))
        assert hello["pid"] == engine.process.pid
        assert (hello["kind"], hello["threads"], hello["processes"]) == ("allspark", 10, 2)
        assert (hello["batch"], hello["warnings"], hello["properties"]) == (False, [], {})
        assert engine.call("world") == {"status": 200, "body": "hello world", "headers": ""}
        assert engine.stop() == 0
        assert engine.receive()["log"] == b"after run\n"


def test_native_processor_on_every_python(python: str, write: Write) -> None:
    with ScriptedEngine(python) as engine:
        hello = engine.serve(write(NATIVE), model_entry="/m/", model_config="{}", threads=3)
        assert (hello["kind"], hello["threads"], hello["processes"]) == ("native", 3, 1)
        assert engine.call("abc") == {"status": 201, "body": "ABC", "headers": "Content-Type: text/plain\r\n"}
        assert engine.call(head="GET /model HTTP/1.1\r\n\r\n")["body"] == "/m/|{}"
        assert engine.stop() == 0
        assert engine.receive()["log"] == b"closed\n"


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_a_python_that_is_too_old_is_named(version: str, write: Write) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    with ScriptedEngine(python, program=["-m", "eas_host"]) as engine:
        engine.start(write(ALLSPARK))
        failed = engine.expect("failed")
        assert failed["stage"] == "python"
        assert failed["message"].startswith(f"Python {version}.")
        assert "3.8 or later" in failed["message"]
        assert engine.process.wait() == 1


def test_the_host_itself_gets_as_far_as_hello(python: str, write: Write) -> None:
    with ScriptedEngine(python, program=["-m", "eas_host"]) as engine:
        engine.start(write(ALLSPARK))
        assert engine.expect("hello")["python"] == version_of(python)
        engine.send("stop")
        engine.expect("stopped")
        assert engine.process.wait() == 0


def version_of(python: str) -> str:
    return os.popen(f"{python} -c 'import platform; print(platform.python_version())'").read().strip()


def test_properties_of_initialize_are_in_ready(engine: ScriptedEngine, write: Write) -> None:
    engine.start(write(ALLSPARK))
    assert engine.expect("hello")["properties"] == {}
    engine.send("load", threads=10, keepalive_ms=5000)
    assert engine.expect("ready")["properties"] == {"rpc.keepalive": "60000"}


def test_service_json_beats_the_constructor_with_a_warning(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import allspark
        class P(allspark.BaseProcessor):
            def process(self, data):
                return data, 0
        if __name__ == "__main__":
            allspark.default_properties().put("rpc.keepalive", 60000)
            P(worker_threads=8, endpoint="0.0.0.0:8079", io_threads=2, brand_new=1).run()
    """)
    hello = engine.serve(entry, threads=5, keepalive_ms=3000)
    assert hello["threads"] == 5
    assert hello["warnings"] == [
        "worker_threads: 5 of service.json replaces 8 of the constructor",
        "rpc.keepalive: 3000 of service.json replaces 60000 of the script",
        "endpoint '0.0.0.0:8079' has no effect behind the engine, which listens itself",
        "BaseProcessor has no argument 'brand_new'; it was ignored",
    ]
    assert hello["properties"] == {"rpc.keepalive": "60000", "rpc.io_threads": "2"}


def test_the_endpoint_of_a_script_started_by_hand_is_served(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSPARK_ENDPOINT", "0.0.0.0:8079")
    with ScriptedEngine() as engine:
        entry = write(ALLSPARK.replace("worker_threads=10", "endpoint='0.0.0.0:8079'"))
        assert engine.serve(entry)["warnings"] == []


@pytest.mark.parametrize("arguments", ["", "worker_threads=5"])
def test_no_warning_when_nothing_is_replaced(engine: ScriptedEngine, write: Write, arguments: str) -> None:
    entry = write(f"""
        import allspark
        class P(allspark.BaseProcessor):
            def process(self, data):
                return data, 0
        P({arguments}).run()
    """)
    assert engine.serve(entry, threads=5 if arguments else 7)["warnings"] == []


def test_a_subclass_that_forgets_super_init(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import allspark
        class P(allspark.BaseProcessor):
            def __init__(self):
                self.suffix = b"!"
            def process(self, data):
                return data + self.suffix, 200
        if __name__ == "__main__":
            P().run()
    """)
    assert engine.serve(entry)["threads"] == 5
    assert engine.call("hi")["body"] == "hi!"


def test_tutorial_shapes(engine: ScriptedEngine, write: Write) -> None:
    """A float with status 0, as a public tutorial returns it, and the model path it asks for."""
    entry = write("""
        import allspark
        class P(allspark.BaseProcessor):
            def initialize(self):
                self.path = self.get_model_path()
            def process(self, data):
                x = self.pre_proccess(data)
                return (self.path, 200) if x is None and data == b"path" else (float(data) * 2, 0)
        if __name__ == '__main__':
            runner = P(worker_threads=5)
            runner.run()
    """)
    engine.serve(entry, model_path="/models/m")
    assert engine.call("1.25")["body"] == "2.5"
    assert engine.call("path")["body"] == "/models/m"
    assert engine.call("no number") == {
        "raised": "ValueError: could not convert string to float: b'no number'"
    }


def test_class_of_allspark_without_run_is_run(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import allspark
        class P(allspark.BaseProcessor):
            def process(self, data):
                return __name__, 200
    """)
    assert engine.serve(entry)["kind"] == "allspark"
    assert engine.call()["body"] == "app"
    assert engine.stop() == 0


def test_entry_class_picks_one_of_several(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import eas_sdk
        class A(eas_sdk.Processor):
            def process(self, request):
                return "A"
        class B(eas_sdk.Processor):
            def process_batch(self, requests):
                return ["B"] * len(requests)
    """)
    assert engine.serve(entry, entry_class="B")["batch"] is True
    assert engine.call()["body"] == "B"


FAILURES = {
    "syntax": ("def f(:\n", "import", "SyntaxError: invalid syntax (app.py, line 1)"),
    "import": ("import eas_sdk\n1 / 0\n", "import", "ZeroDivisionError: division by zero (app.py, line 2)"),
    "nothing": ("x = 1\n", "entry", "no processor"),
    "null": ("x = 1\0\n", "import", "null bytes"),
    "script without run": (
        "import allspark\nif __name__ == '__main__':\n    pass\n",
        "entry",
        "app.py ended without run() of an allspark processor",
    ),
    "exit": ("import allspark, sys\nsys.exit(3)\n", "import", "sys.exit(3) was called (app.py, line 2)"),
    "two natives": (
        "import eas_sdk\nclass A(eas_sdk.Processor):\n    pass\nclass B(eas_sdk.Processor):\n    pass\n",
        "entry",
        "several processors: A, B; name one as app.py:Class",
    ),
    "native constructor": (
        "import eas_sdk\nclass A(eas_sdk.Processor):\n    def __init__(self, x):\n        pass\n",
        "construct",
        "TypeError: ",
    ),
    "native without process": (
        "import eas_sdk\nclass A(eas_sdk.Processor):\n    pass\n",
        "construct",
        "class A defines neither process() nor process_batch()",
    ),
    "allspark without process": (
        "import allspark\nclass A(allspark.BaseProcessor):\n    pass\nA().run()\n",
        "construct",
        "class A has no process()",
    ),
    "script constructor": (
        "import allspark\nclass A(allspark.BaseProcessor):\n    pass\nA(worker_threads=0).run()\n",
        "construct",
        "ValueError: worker_threads must be at least 1, not 0 (app.py, line 4)",
    ),
    "initialize": (
        """
        import allspark
        class A(allspark.BaseProcessor):
            def process(self, data):
                return 1, 0
            def initialize(self):
                open("/nowhere/model")
        A().run()
        """,
        "initialize",
        "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/model' (app.py, line 7)",
    ),
    "initialize exits": (
        """
        import eas_sdk, sys
        class A(eas_sdk.Processor):
            def process(self, request):
                return b""
            def initialize(self, entry, config):
                sys.exit("no licence")
        """,
        "initialize",
        "sys.exit('no licence') was called (app.py, line 7)",
    ),
    "both": (
        """
        import eas_sdk, allspark
        class A(eas_sdk.Processor):
            pass
        class B(allspark.BaseProcessor):
            pass
        B().run()
        """,
        "entry",
        "it is both",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_is_wrong_with_a_processor_is_said(engine: ScriptedEngine, write: Write, case: str) -> None:
    source, stage, text = FAILURES[case]
    engine.start(write(source))
    message = engine.receive()
    if message["type"] == "hello":
        engine.send("load", threads=5, keepalive_ms=5000)
        message = engine.receive()
    assert message["type"] == "failed", message
    assert message["stage"] == stage, message
    assert text in message["message"]
    assert "\n" not in message["message"]
    assert "eas_host" not in message["traceback"]
    assert engine.process.wait() == 1


def test_names_of_classes_and_lines_are_in_the_message(engine: ScriptedEngine, write: Write) -> None:
    engine.start(write("class Base:\n    pass\n\nclass Mine(Base):\n    pass\n"))
    assert (
        "class Base (line 1, of nothing); class Mine (line 4, of Base)" in engine.expect("failed")["message"]
    )


def test_a_missing_entry(engine: ScriptedEngine, tmp_path: Path) -> None:
    engine.start(tmp_path / "app.py")
    failed = engine.expect("failed")
    assert failed["stage"] == "entry"
    assert "No such file" in failed["message"]


def test_a_script_that_swallows_the_failure_fails_all_the_same(engine: ScriptedEngine, write: Write) -> None:
    engine.start(
        write("""
        import allspark
        class A(allspark.BaseProcessor):
            def process(self, data):
                return 1, 0
            def initialize(self):
                raise RuntimeError("no model")
        try:
            A().run()
        except BaseException:
            print("never mind")
        """)
    )
    engine.expect("hello")
    engine.send("load", threads=5, keepalive_ms=5000)
    assert engine.expect("failed")["message"] == "RuntimeError: no model (app.py, line 7)"
    assert engine.process.wait() == 1
