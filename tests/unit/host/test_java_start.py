"""How a JVM begins and ends: what is refused and in which words, its options, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_host.adapters.java_vm import heap, options
from support import java

ECHO = java.PLAIN.format(name="Echo", construct="", load="", result="byte[]", process="return data;")

# --- starts that are refused -----------------------------------------------------------------------------


HAS_NONE = "and it doesn't implement eas.sdk.Processor"
LOAD = "public void Load() {}"
ECHO_CALL = "public byte[] Process(byte[] a) { return a; }"
NATIVE_CALL = "public eas.sdk.Response process(eas.sdk.Request r) { return null; }"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("public class X {}", f"class X has no void Load(), {HAS_NONE}"),
        (
            "public class X { public void load() {} }",
            f"class X has no void Load() (there is public void X.load()), {HAS_NONE}",
        ),
        (
            f"public class X {{ {LOAD} public String Process(String a) {{ return a; }} }}",
            ("class X has no byte[] Process(byte[]) "
            f"(there is public java.lang.String X.Process(java.lang.String)), {HAS_NONE}"),
        ),
        (
            f"public class X {{ {LOAD} public int Process(byte[] a) {{ return 1; }} }}",
            "class X: Process(byte[]) returns int; expected byte[] or String",
        ),
        (
            f"public class X {{ {LOAD} {ECHO_CALL} }}",
            "class X has no constructor X(String modelEntry, String modelConfig)",
        ),
        (f"public abstract class X {{ {LOAD} {ECHO_CALL} }}", "X is abstract: no object can be made of it"),
        (
            "public abstract class X implements eas.sdk.Processor {}",
            "X is abstract: no object can be made of it",
        ),
        (
            f"public class X implements eas.sdk.Processor {{ public X(int a) {{}} {NATIVE_CALL} }}",
            (
                "class X has no constructor X(); "
                "a processor that implements eas.sdk.Processor gets its model in initialize()"
            ),
        ),
        (
            'public class X { static { if (true) throw new IllegalStateException("early"); } }',
            "java.lang.ExceptionInInitializerError",
        ),
    ],
    ids=[
        "empty", "load", "text", "int", "constructor", "abstract", "abstract-native", "arguments", "static",
    ],
)  # fmt: skip
def test_a_class_that_cant_serve_is_refused_in_words(tmp_path: Path, source: str, message: str) -> None:
    seen = java.failure(tmp_path, java.jar_of({"X.java": source}), main_class="X")
    assert seen.splitlines()[0] == f"construct: {message}"


@pytest.mark.parametrize("moment", ["construct", "load"])
def test_what_its_own_code_throws_at_the_start_is_told_with_its_trace(tmp_path: Path, moment: str) -> None:
    throwing = 'if (true) throw new IllegalArgumentException("no model\\nat all");'
    jar = java.plain("Early", "return data;", **{moment: throwing})
    seen = java.failure(tmp_path, jar, main_class="Early").splitlines()
    stage = "construct" if moment == "construct" else "initialize"
    assert seen[0] == f"{stage}: java.lang.IllegalArgumentException: no model"
    assert seen[2] == "at all"
    assert "Early." in seen[3]


def test_a_missing_class_is_named(tmp_path: Path) -> None:
    jar = java.jar_of({"Echo.java": ECHO})
    assert java.failure(tmp_path, jar, main_class="com.example.Echo") == (
        "construct: there is no class com.example.Echo on the class path"
    )


def test_a_class_of_a_newer_java_is_told_in_peoples_numbers(tmp_path: Path) -> None:
    classes = tmp_path / "classes"
    classes.mkdir()
    java.classes_of({"Echo.java": ECHO}, classes)
    file = classes / "Echo.class"
    content = bytearray(file.read_bytes())
    content[6:8] = (44 + 99).to_bytes(2, "big")  # the major version
    file.write_bytes(content)
    seen = java.failure(tmp_path, classes, main_class="Echo")
    assert seen.startswith("construct: Echo needs Java 99, and this is Java ")


def test_a_jar_that_is_none_is_told(tmp_path: Path) -> None:
    jar = tmp_path / "broken.jar"
    jar.write_bytes(b"<html>404</html>")
    seen = java.failure(tmp_path, jar, main_class="Echo")
    assert seen == f"construct: {jar} is no jar (it isn't a zip file)"


def test_without_a_java_it_says_how_to_get_one(tmp_path: Path) -> None:
    java.needs_java()
    seen = java.failure(tmp_path, environment={"JAVA_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert seen.startswith(
        f"construct: JAVA_HOME is {tmp_path}, and no JVM (libjvm.so) is in it: install one (apt-get "
    )


def test_without_jpype_it_says_how_to_get_it(tmp_path: Path) -> None:
    java.needs_java()
    (tmp_path / "jpype.py").write_text("raise ImportError('No module named jpype')")
    seen = java.failure(tmp_path, environment={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert seen.startswith("construct: Java processors need JPype: pip install 'eas-engine[java]'")


def test_an_option_that_the_jvm_refuses_is_told_in_its_own_words(tmp_path: Path) -> None:
    jar = java.jar_of({"Echo.java": ECHO})
    seen = java.failure(tmp_path, jar, main_class="Echo", java_opts=["-XX:+NoSuchThing"])
    assert "didn't start: Unrecognized VM option 'NoSuchThing'" in seen.splitlines()[0]


# --- options ---------------------------------------------------------------------------------------------


def test_the_heap_follows_the_memory_of_the_instance() -> None:
    assert [heap(memory) for memory in (1, 64, 256, 512, 1000, 1024, 2048, 8192)] == [
        0, 32, 128, 256, 744, 768, 1536, 6144,
    ]  # fmt: skip


def test_the_users_options_come_last() -> None:
    given = options(1024, ["-Xmx100m", "-Da=b c"], "/crashes")
    assert given[-3:] == ["-Xmx768m", "-Xmx100m", "-Da=b c"]
    assert "-XX:ErrorFile=/crashes/hs_err_pid%p.log" in given
    assert given[0] == "-Xrs"
    assert not [one for one in options(None, [], "/crashes") if one.startswith("-Xmx")]


def test_memory_and_options_reach_the_jvm(tmp_path: Path) -> None:
    script = """
java = made()
handle = java.handle()
print(int(handle(Request.build(b"do=memory"))[1]) >> 20, handle(Request.build(b"do=property&name=who"))[1])
print(java.warnings)
"""
    jar = java.jar("Faults.java")
    seen = java.printed(script, tmp_path, jar, memory_mb=1024, java_opts=["-Dwho=me"]).splitlines()
    assert seen[1:] == ["768 b'me'", "[]"]
    seen = java.printed(script, tmp_path, jar, memory_mb=1024, java_opts=["-Xmx64m"]).splitlines()
    assert seen[1].startswith("64 ")
    assert seen[2] == ("['-Xmx64m of java_opts replaces -Xmx768m, which follows metadata.memory (1024 MB)']")


# --- the end ---------------------------------------------------------------------------------------------


def test_the_end_runs_shutdown_hooks_and_waits_for_no_thread(tmp_path: Path) -> None:
    script = """
java = made()
java.handle()(Request.build(b"do=background"))
"""
    environment = {"FAULTS_AT_EXIT": "do=print&text=hook", "PATH": "/usr/bin:/bin"}
    seen = java.printed(script, tmp_path, java.jar("Faults.java"), environment=environment)
    assert seen.splitlines()[-1] == "hook"


@pytest.mark.parametrize(
    ("told", "status"),
    [("do=exit&code=7", 7), ("do=vanish&code=9", 9), ("do=exhaust", 3), ("do=segfault", -6)],
)
def test_what_ends_the_jvm_ends_the_process(tmp_path: Path, told: str, status: int) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
    script = f"{limit}\nmade().handle()(Request.build({told!r}))\nprint('still here')"
    ran = java.in_a_jvm(script, [java.jar("Faults.java")], tmp_path, java_opts=["-Xmx64m"])
    assert ran.returncode == status
    assert "still here" not in ran.stdout
    assert [path.name.partition("pid")[0] for path in tmp_path.iterdir()] == (
        ["hs_err_"] if status == -6 else []
    )


def test_a_start_that_failed_ends_with_1(tmp_path: Path) -> None:
    ran = java.in_a_jvm(
        "made()",
        [java.plain("Early", "return data;", load="if (true) throw new Error();")],
        tmp_path,
        main_class="Early",
    )
    assert ran.returncode == 1
