"""What a processor finds around itself must be what ``python app.py`` would give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.scripted_engine import SDK, ScriptedEngine

Write = Callable[..., Path]

POOL = """
    import multiprocessing, os, {api}

    class Item:
        def __init__(self, n):
            self.n = n

    def double(item):
        return Item(item.n * 2)

    {body}
"""
SCRIPT_BODY = """
    class P(allspark.BaseProcessor):
        def initialize(self):
            self.pool = multiprocessing.get_context("{method}").Pool(2)
        def process(self, data):
            return sum(i.n for i in self.pool.map(double, map(Item, range(int(data))))), 200
    if __name__ == "__main__":
        P().run()
"""
NATIVE_BODY = """
    class P(eas_sdk.Processor):
        def initialize(self, entry, config):
            self.pool = multiprocessing.get_context("{method}").Pool(2)
        def process(self, request):
            return str(sum(i.n for i in self.pool.map(double, map(Item, range(int(bytes(request.body)))))))
        def close(self):
            self.pool.close()
            self.pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_a_script_on_every_python(python: str, write: Write, method: str) -> None:
    entry = write(POOL.format(api="allspark", body=SCRIPT_BODY.format(method=method).strip()))
    with ScriptedEngine(python) as engine:
        engine.serve(entry)
        assert engine.call("5") == {"status": 200, "body": "20", "headers": ""}
        assert engine.stop() == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_a_native_processor(engine: ScriptedEngine, write: Write, method: str) -> None:
    engine.serve(write(POOL.format(api="eas_sdk", body=NATIVE_BODY.format(method=method).strip())))
    assert engine.call("5")["body"] == "20"
    assert engine.stop() == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_made_by_the_processor(engine: ScriptedEngine, write: Write, method: str) -> None:
    entry = write(f"""
        import allspark, multiprocessing
        def work(queue):
            queue.put(__name__)
        class P(allspark.BaseProcessor):
            def process(self, data):
                context = multiprocessing.get_context("{method}")
                queue = context.SimpleQueue()
                child = context.Process(target=work, args=(queue,))
                child.start()
                name = queue.get()
                child.join()
                return name, 200
        if "__main__" == __name__:
            P().run()
    """)
    engine.serve(entry)
    assert engine.call()["body"] == ("__main__" if method == "fork" else "__mp_main__")


def test_forked_and_executed_children_get_none_of_the_engines_descriptors(
    engine: ScriptedEngine, write: Write
) -> None:
    entry = write("""
        import allspark, os, subprocess, json

        def sockets():
            links = []
            for fd in os.listdir("/proc/self/fd"):
                try:
                    links.append(os.readlink("/proc/self/fd/" + fd))
                except OSError:
                    pass
            return [each for each in links if each.startswith("socket")]

        class P(allspark.BaseProcessor):
            def process(self, data):
                ours = sockets()
                here, there = os.pipe()
                if os.fork() == 0:
                    os.write(there, json.dumps(sockets()).encode())
                    os._exit(0)
                os.wait()
                seen = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, stdout=subprocess.PIPE)
                return json.dumps([len(ours), json.loads(os.read(here, 9999)), "socket" in str(seen)]), 0

        if __name__ == "__main__":
            P().run()
    """)
    engine.serve(entry)
    assert engine.call()["body"] == "[3, [], false]"


def test_a_child_that_outlives_the_host_does_not_hide_its_death(
    engine: ScriptedEngine, write: Write, tmp_path: Path
) -> None:
    entry = write("""
        import eas_sdk, os, signal
        class P(eas_sdk.Processor):
            def process(self, request):
                if os.fork() == 0:
                    signal.pause()
                os._exit(9)
    """)
    engine.serve(entry)
    assert engine.call() == {"end": True}
    assert engine._incoming.read() == b""
    assert engine.process.wait() == 9


HOSTILE = [
    "allspark",
    "ast",
    "base64",
    "contextlib",
    "ctypes",
    "eas_host",
    "eas_sdk",
    "faulthandler",
    "fcntl",
    "json",
    "linecache",
    "mmap",
    "queue",
    "re",
    "signal",
    "socket",
    "struct",
    "textwrap",
    "threading",
    "tokenize",
    "traceback",
    "typing",
    "unicodedata",
    "warnings",
]
BROKEN = "raise RuntimeError('the processor directory was searched for ' + __name__)"


@pytest.mark.parametrize("kind", ["script", "native"])
def test_modules_with_names_of_the_standard_library(python: str, write: Write, kind: str) -> None:
    """They stand beside app.py and can't be imported at all; the host must not care."""
    for name in HOSTILE:
        write(BROKEN, f"{name}.py")
    script = """
        import allspark
        class P(allspark.BaseProcessor):
            def process(self, data):
                return data, 200 / len(data)
        if __name__ == "__main__":
            P().run()
    """
    native = """
        import eas_sdk
        class P(eas_sdk.Processor):
            def process(self, request):
                return eas_sdk.Response(request.body, 200 // len(request.body), {"A": "b"})
    """
    with ScriptedEngine(python) as engine:
        engine.serve(write(script if kind == "script" else native))
        assert engine.call("x")["body"] == "x"
        assert engine.call("")["raised"].startswith("ZeroDivisionError")
        assert engine.stop() == 0


def test_a_failure_is_reported_among_hostile_modules(python: str, write: Write) -> None:
    for name in HOSTILE:
        write(BROKEN, f"{name}.py")
    with ScriptedEngine(python) as engine:
        engine.start(write("import eas_sdk\nimport queue\n"))
        failed = engine.expect("failed")
        assert failed["message"].startswith("RuntimeError: the processor directory was searched for queue")
        assert "queue.py" in failed["traceback"]


def test_the_users_module_wins_over_the_one_that_the_host_has_imported(
    engine: ScriptedEngine, write: Write
) -> None:
    write("mine = 'my queue'", "queue.py")
    write("mine = 'my json'", "json/__init__.py")
    entry = write("""
        import allspark, queue, json
        class P(allspark.BaseProcessor):
            def process(self, data):
                return queue.mine + json.mine, 200
        P().run()
    """)
    engine.serve(entry)
    assert engine.call()["body"] == "my queuemy json"


def test_directory_arguments_path_and_main(engine: ScriptedEngine, write: Write, tmp_path: Path) -> None:
    write("here = True", "src/neighbour.py")
    write("here = True", "top.py")
    entry = write(
        """
        import json, os, sys, allspark, neighbour, top
        class P(allspark.BaseProcessor):
            def process(self, data):
                main = sys.modules["__main__"]
                path = sys.path[:3]
                return json.dumps([os.getcwd(), sys.argv, path, main.P is P, main.__file__, __file__]), 0
        if __name__ == "__main__":
            P().run()
        """,
        "src/app.py",
    )
    engine.serve(entry, processor_dir=str(tmp_path / "code"))
    code = str(tmp_path / "code")
    expected = [code, [str(entry)], [f"{code}/src", code, str(SDK)], True, str(entry), str(entry)]
    assert engine.call()["body"] == json.dumps(expected)


def test_lines_of_several_threads_come_whole(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import allspark, threading
        class P(allspark.BaseProcessor):
            def process(self, data):
                def shout():
                    for _ in range(200):
                        print("a" * 20, "b" * 20, "\\udcff\\u4e2d")
                threads = [threading.Thread(target=shout) for _ in range(4)]
                [t.start() for t in threads]
                [t.join() for t in threads]
                return b"", 0
        if __name__ == "__main__":
            P().run()
    """)
    engine.serve(entry)
    engine.call()
    engine.stop()
    lines = set(engine.receive()["log"].decode().splitlines())
    assert lines == {f"{'a' * 20} {'b' * 20} \\udcff中"}


def test_a_crash_in_c_leaves_a_trace(engine: ScriptedEngine, write: Write) -> None:
    entry = write("""
        import ctypes, eas_sdk
        class P(eas_sdk.Processor):
            def process(self, request):
                ctypes.string_at(0)
    """)
    engine.serve(entry)
    assert engine.call() == {"end": True}
    assert b"Segmentation fault" in engine.receive()["log"]


def test_the_language_of_the_script_is_its_own(engine: ScriptedEngine, write: Write) -> None:
    """No ``from __future__`` of the host's leaks into the script."""
    entry = write("""
        import allspark
        class P(allspark.BaseProcessor):
            def process(self, data: int):
                return type(P.process.__annotations__["data"]).__name__, 0
        P().run()
    """)
    engine.serve(entry)
    assert engine.call()["body"] == "type"
