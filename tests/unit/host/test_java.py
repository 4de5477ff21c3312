"""The adapter of Java processors, each test with a JVM in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import java

ECHO = java.PLAIN.format(name="Echo", construct="", load="", result="byte[]", process="return data;")


# --- the older contract ----------------------------------------------------------------------------------


def test_bytes_go_in_and_come_out_unchanged(tmp_path: Path) -> None:
    script = """
import os
java = made()
handle = java.handle()
for size in (0, 1, 64, 4096, 262143, 262144, 400_000, 5_000_000):
    body = os.urandom(size)
    for given in (body, memoryview(body)):
        status, answer, lines = handle(Request.build(given))
        assert (status, bytes(answer), lines) == (200, body, b""), (size, type(given))
print(java.kind, java.processes, java.threads, java.batch, java.properties())
java.close()
"""
    assert (
        java.printed(script, tmp_path, java.jar_of({"Echo.java": ECHO}), main_class="Echo")
        == "java 1 5 False {}"
    )


def test_text_is_sent_as_utf_8_and_null_as_nothing(tmp_path: Path) -> None:
    process = 'return data.length == 0 ? null : "\\u4f60\\u597d " + new String(data);'
    script = """
handle = made().handle()
print(handle(Request.build("Zoë"))[1].decode(), handle(Request.build(b""))[1])
"""
    jar = java.plain("Text", process, result="String")
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"}
    seen = java.printed(script, tmp_path, jar, main_class="Text", environment=environment)
    assert seen == "你好 Zoë b''"


def test_the_constructor_gets_the_model_and_load_comes_before_ready(tmp_path: Path) -> None:
    jar = java.plain(
        "Model",
        "return said.getBytes();",
        construct='said = modelEntry + "|" + modelConfig + "|";',
        load='said += "loaded"; } private String said; { said = "";',
    )
    script = """
java = Java(start)
started.append(java)
handle = java.handle()
print(handle(Request.build(b""))[1])
java.initialize()
print(handle(Request.build(b""))[1])
"""
    seen = java.printed(
        script, tmp_path, jar, main_class="Model", model_entry="/m/", model_config='{"a": "ü"}'
    )
    assert seen.splitlines() == [
        repr('/m/|{"a": "ü"}|'.encode()),
        repr('/m/|{"a": "ü"}|loaded'.encode()),
    ]


def test_what_it_inherits_counts_and_nothing_needs_to_be_public(tmp_path: Path) -> None:
    sources = {
        "Base.java": 'class Base { void Load() {} protected String Process(byte[] data) { return "base"; } }',
        "Own.java": "class Own extends Base { Own(String a, String b) {} }",
    }
    script = "print(made().handle()(Request.build(b''))[1])"
    assert java.printed(script, tmp_path, java.jar_of(sources), main_class="Own") == "b'base'"


def test_an_exception_is_its_message_and_its_trace_with_causes(tmp_path: Path) -> None:
    script = """
handle = made().handle()
for told in (b"do=throw&message=no+such+%C3%A4", b"do=throw_bare", b"do=overflow"):
    try:
        handle(Request.build(told))
    except Raised as raised:
        print(raised)
        lines = raised.trace.splitlines()
        print(lines[0][:80], "|", lines[1].split("(")[0].strip(), "|", [l for l in lines if "Caused" in l])
print(handle(Request.build(b"still there"))[1])
"""
    seen = java.printed(script, tmp_path, java.jar("Faults.java")).splitlines()[1:]
    assert seen == [
        "no such ä",
        (
            "java.lang.IllegalStateException: no such ä | at Faults.fail | "
            "['Caused by: java.io.IOException: what lay beneath']"
        ),
        "java.lang.UnsupportedOperationException",
        "java.lang.UnsupportedOperationException | at Faults.fail | []",
        "java.lang.StackOverflowError",
        "java.lang.StackOverflowError | at Faults.overflow | []",
        "b'still there'",
    ]


def test_an_exception_whose_own_code_throws_is_still_an_answer(tmp_path: Path) -> None:
    jar = java.plain(
        "Nasty",
        'throw new RuntimeException() { public String getMessage() { throw new Error("nasty"); } };',
    )
    script = """
try:
    made().handle()(Request.build(b""))
except Raised as raised:
    print(raised, "|", raised.trace.splitlines()[0])
"""
    assert java.printed(script, tmp_path, jar, main_class="Nasty") == (
        "Nasty$1 | Nasty$1, which can't be printed: java.lang.Error"
    )


def test_half_a_surrogate_pair_in_a_message_is_a_question_mark(tmp_path: Path) -> None:
    process = 'throw new RuntimeException("half \\ud800 and \\ud83d\\ude00", new Error("\\udc00"));'
    script = """
try:
    made().handle()(Request.build(b""))
except Raised as raised:
    print(ascii(str(raised)), [ascii(l) for l in raised.trace.splitlines() if "at " not in l])
"""
    seen = java.printed(script, tmp_path, java.plain("Half", process), main_class="Half")
    smile = "\\U0001f600"
    titles = [f"'java.lang.RuntimeException: half ? and {smile}'", "'Caused by: java.lang.Error: ?'"]
    assert seen.startswith(f"'half ? and {smile}' {titles!r}"[:-1])


def test_a_long_message_is_cut_before_it_comes_to_python(tmp_path: Path) -> None:
    process = """
char[] many = new char[50_000_000];
java.util.Arrays.fill(many, 'x');
throw new RuntimeException(new String(many));
"""
    script = """
try:
    made().handle()(Request.build(b""))
except Raised as raised:
    print(len(str(raised)), len(raised.trace) < 20_000, "at Long.Process" in raised.trace)
"""
    seen = java.printed(script, tmp_path, java.plain("Long", process), main_class="Long")
    assert seen == "16384 True True"


def test_a_deep_stack_is_cut_in_the_log_and_a_ring_of_causes_ends(tmp_path: Path) -> None:
    source = """
public class Deep {
    Deep(String a, String b) {}
    void Load() {}
    int down(int depth) { return down(depth + 1) + depth; }
    byte[] Process(byte[] data) {
        if (data.length == 0) down(0);
        RuntimeException first = new RuntimeException("first");
        RuntimeException second = new RuntimeException("second", first);
        first.initCause(second);
        first.addSuppressed(new Error("beside"));
        throw first;
    }
}
"""
    script = """
handle = made().handle()
for body in (b"", b"ring"):
    try:
        handle(Request.build(body))
    except Raised as raised:
        lines = raised.trace.splitlines()
        print(len(lines), lines[0], lines[-1].strip(), [l for l in lines if ": " in l and "at " not in l])
"""
    seen = java.printed(script, tmp_path, java.jar_of({"Deep.java": source}), main_class="Deep").splitlines()
    assert seen[0] == "52 java.lang.StackOverflowError ... 974 more []"
    assert seen[1].endswith(
        "Caused by: ... java.lang.RuntimeException ['java.lang.RuntimeException: first', "
        "'\\tSuppressed: java.lang.Error: beside', 'Caused by: java.lang.RuntimeException: second', "
        "'Caused by: ... java.lang.RuntimeException']"
    )


def test_calls_of_several_threads_are_inside_at_the_same_time(tmp_path: Path) -> None:
    script = """
import threading
handle = made().handle()
answers = []
def call(number):
    told = b"do=meet&parties=4&n=%d" % number
    answers.append(handle(Request.build(told))[1] == told)
threads = [threading.Thread(target=call, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(answers)
"""
    seen = java.printed(script, tmp_path, java.jar("Faults.java"))
    assert seen.splitlines()[-1] == "[True, True, True, True]"


def test_a_calling_thread_is_a_daemon_with_the_hosts_name_for_it(tmp_path: Path) -> None:
    script = """
import threading
handle = made().handle()
def call(): print(handle(Request.build(b"do=thread"))[1])
thread = threading.Thread(target=call, name="worker-3")
thread.start(); thread.join()
"""
    seen = java.printed(script, tmp_path, java.jar("Faults.java"))
    assert seen.splitlines()[-1] == "b'worker-3 true true'"


def test_the_stacks_of_all_threads_can_be_told_while_one_hangs(tmp_path: Path) -> None:
    script = """
import threading, time
java = made()
handle = java.handle()
threading.Thread(target=lambda: handle(Request.build(b"do=hang")), name="worker-7", daemon=True).start()
while "Faults.forever" not in java.dump_threads():
    time.sleep(0.01)
print(java.dump_threads())
"""
    seen = java.printed(script, tmp_path, java.jar("Faults.java"))
    lines = seen.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith('"worker-7"'))
    assert lines[at] == '"worker-7" TIMED_WAITING daemon'
    assert "Faults.forever(Faults.java:" in lines[at + 2]


@pytest.mark.parametrize("ask", ["java.close()", "handle(Request.build(b''))", "None"])
def test_while_shutdown_hooks_run_everything_waits_for_the_end(tmp_path: Path, ask: str) -> None:
    process = """
Runtime.getRuntime().addShutdownHook(new Thread(() -> {
    try {
        while (!new java.io.File("end").exists()) Thread.sleep(5);
    } catch (InterruptedException never) { }
    System.out.println("hook ran");
}));
System.exit(3);
return data;
"""
    script = f"""
import threading, time
java = made()
handle = java.handle()
threading.Thread(target=handle, args=(Request.build(b""),), daemon=True).start()
while java._jpype.isJVMStarted():
    time.sleep(0.01)
threading.Timer(0.5, lambda: open("end", "w").close()).start()
started.clear()
{ask}
print("went on")
"""
    ran = java.in_a_jvm(script, [java.plain("Leaving", process)], tmp_path, main_class="Leaving")
    said = ["went on", "hook ran"] if ask == "None" else ["hook ran"]
    assert (ran.returncode, ran.stdout.split("\n")[:-1], ran.stderr) == (3, said, "")


# --- the native interface --------------------------------------------------------------------------------
