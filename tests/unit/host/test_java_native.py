"""Java processors of the native interface, one request at a time and in batches."""

from __future__ import annotations

from pathlib import Path

from support import java

NATIVE = """
import eas.sdk.*;
import java.util.*;

public class Native implements Processor {
    private String model;
    @Override public void initialize(String entry, String config) { model = entry + config; }
    @Override public void close() { System.out.println("closed"); }
    @Override public Response process(Request request) throws Exception {
        switch (request.query()) {
            case "echo": return Response.of(request.body());
            case "bytes": return Response.of(request.bytes());
            case "null": return null;
            case "failed": return Response.failed(new IllegalArgumentException("not this one"));
            case "fields":
                return Response.of("x").withStatus(201).withHeader("X-A", "1").withHeader("X-A", "");
            case "ours": return Response.of("x").withHeader("Content-Length", "7");
            case "status": return Response.of("x").withStatus(99);
            default: return Response.of(String.join(" ", request.method(), request.path(), request.query(),
                request.header("x-TWO"), request.headers().toString(), request.text(), request.requestId(),
                Boolean.toString(request.cancelled()), Boolean.toString(request.body().isReadOnly()),
                Long.toString(request.remainingNanos() / 1_000_000_000L), model));
        }
    }
}
"""


def test_a_native_processor_sees_the_request_and_answers_with_fields(tmp_path: Path) -> None:
    script = """
java = made()
handle = java.handle()
def ask(query, body=b"body", **given):
    try:
        status, answer, lines = handle(Request.build(body, query=query, **given))
        return status, bytes(answer), lines
    except Exception as error:
        return str(error)
fields = {"X-One": "1", "x-Two": "zwei"}
print(ask("all", headers=fields, path="/api/predict/n", timeout=50.5)[1].decode())
print(ask("all", headers={**fields, "X-Request-Id": "mine"}, cancelled=True)[1].decode().split()[-5:-1])
for query in ("echo", "bytes", "null", "failed", "fields", "ours", "status"):
    print(ask(query))
for size in (255_000, 300_000, 1_000_000):
    body = bytes(range(256)) * (size // 256)
    assert ask("echo", memoryview(body))[1] == ask("bytes", body)[1] == body
"""
    seen = java.printed(
        script,
        tmp_path,
        java.jar_of({"Native.java": NATIVE}),
        main_class="Native",
        model_entry="m",
        model_config="c",
    )
    assert seen.splitlines() == [
        "POST /api/predict/n all zwei {x-one=1, x-two=zwei} body test-0001 false true 50 mc",
        "['mine', 'true', 'true', '4']",
        "(200, b'body', b'')",
        "(200, b'body', b'')",
        "process() returned null; expected a Response",
        "not this one",
        "(201, b'x', b'X-A: 1\\r\\nX-A: \\r\\n')",
        "the header 'Content-Length' is set by the engine and can't be set by a processor",
        "a status is 200 to 599, not 99",
        "closed",
    ]


def test_a_large_body_is_seen_where_it_lies(tmp_path: Path) -> None:
    source = """
import eas.sdk.*;
public class Direct implements Processor {
    @Override public Response process(Request request) {
        return Response.of(request.body().isDirect() + " " + request.body().isReadOnly());
    }
}
"""
    script = """
handle = made().handle()
for body in (b"small", memoryview(bytes(300_000))):
    print(handle(Request.build(body))[1].decode())
"""
    seen = java.printed(script, tmp_path, java.jar_of({"Direct.java": source}), main_class="Direct")
    assert seen.splitlines() == ["false true", "true true"]


def test_a_call_learns_that_nobody_waits_any_more(tmp_path: Path) -> None:
    source = """
import eas.sdk.*;
public class Patient implements Processor {
    @Override public Response process(Request request) {
        long looks = 0;
        while (!request.cancelled()) looks++;
        return Response.of("gave up");
    }
}
"""
    script = """
import threading
handle = made().handle()
flags = bytearray(4)
request = Request(b"POST / HTTP/1.1", b"", 1e9, "p", 1, memoryview(flags), 2)
threading.Timer(0.5, lambda: flags.__setitem__(2, 1)).start()
print(handle(request)[1])
"""
    seen = java.printed(script, tmp_path, java.jar_of({"Patient.java": source}), main_class="Patient")
    assert seen == "b'gave up'"


def test_a_batch_processor_answers_one_request_as_a_batch_of_one(tmp_path: Path) -> None:
    source = """
import eas.sdk.*;
import java.util.*;
public class Batch implements BatchProcessor {
    @Override public List<Response> processBatch(List<Request> requests) {
        List<Response> answers = new ArrayList<>();
        for (Request one : requests) answers.add(Response.of(one.text() + " of " + requests.size()));
        return requests.get(0).size() == 0 ? Collections.<Response>emptyList() : answers;
    }
}
""".replace("requests.get(0).size() == 0", "requests.get(0).text().isEmpty()")
    script = """
java = made()
handle = java.handle()
print(java.batch, handle(Request.build(b"one"))[1])
try:
    handle(Request.build(b""))
except Raised as raised:
    print(raised)
"""
    seen = java.printed(script, tmp_path, java.jar_of({"Batch.java": source}), main_class="Batch")
    assert seen.splitlines() == ["True b'one of 1'", "processBatch() returned 0 answers for 1 request"]


# --- batches ---------------------------------------------------------------------------------------------

PAIRS = """
import eas.sdk.BatchProcessor;
import eas.sdk.Request;
import eas.sdk.Response;
import java.util.ArrayList;
import java.util.List;

public class Pairs implements BatchProcessor {
    public List<Response> processBatch(List<Request> requests) {
        List<Response> answers = new ArrayList<>();
        for (Request request : requests) {
            String text = request.body().remaining() < 100 ? request.text() : "";
            if (text.equals("throw")) throw new IllegalArgumentException("who was it?");
            if (text.equals("error")) throw new StackOverflowError();
            if (text.equals("lose")) continue;
            if (text.equals("null")) {
                answers.add(null);
            } else if (text.equals("fail")) {
                answers.add(Response.failed(new IllegalStateException("this one")));
            } else if (text.equals("tell")) {
                String said = request.method() + request.path() + request.header("a") + request.requestId();
                Response told = Response.of(said + request.cancelled()).withStatus(202);
                answers.add(told.withHeader("X-Of", "" + requests.size()));
            } else {
                answers.add(Response.of(request.body()));
            }
        }
        return answers;
    }
}
"""


def test_a_batch_of_all_sizes_is_one_call(tmp_path: Path) -> None:
    script = """
import os
call = made().handle_batch()
call([Request.build(b"warm-up, with flags of its own")])
bodies = [os.urandom(size) for size in (0, 1, 262143, 262144, 262145, 400_000, 5_000_000)]
board = memoryview(bytearray(64))
def request(body, slot, head=b"POST / HTTP/1.1"):
    return Request(head, body, 1e9, "p", slot, board, slot)
answers, ran = call([request(memoryview(body) if n % 2 else body, n) for n, body in enumerate(bodies)])
assert [bytes(body) for _, body, _ in answers] == bodies
print(started[0].batch, ran)
head = b"GET /x HTTP/1.1\\r\\nA: b\\r\\n\\r\\n"
board[9] = 1
answers, ran = call([request(b"tell", 8, head), request(b"tell", 9, head)])
print(answers)
"""
    seen = java.printed(script, tmp_path, java.jar_of({"Pairs.java": PAIRS}), main_class="Pairs").splitlines()
    told = [
        (202, f"GET/xbp-000{n}{flag}".encode(), b"X-Of: 2\r\n") for n, flag in ((8, "false"), (9, "true"))
    ]
    assert seen == ["True (1, 7, 0)", repr(told)]


def test_what_fails_of_a_batch(tmp_path: Path) -> None:
    script = """
call = made().handle_batch()
def say(*bodies):
    try:
        answers, _ = call([Request.build(body) for body in bodies])
        print([a if isinstance(a, tuple) else (str(a), a.trace.split("\\n")[0]) for a in answers])
    except Raised as raised:
        print("raised", raised, "|", raised.trace.split("\\n")[0])
say("a", "fail", "null", "b")
say("a", "throw")
say("error", "a")
say("a", "lose", "b")
say("fine", "again")
"""
    seen = java.printed(script, tmp_path, java.jar_of({"Pairs.java": PAIRS}), main_class="Pairs").splitlines()
    null = "processBatch() returned null; expected a Response"
    lost = "processBatch() returned 2 answers for 3 requests"
    assert seen == [
        repr(
            [
                (200, b"a", b""),
                ("this one", "java.lang.IllegalStateException: this one"),
                (null, f"java.lang.NullPointerException: {null}"),
                (200, b"b", b""),
            ]
        ),
        "raised who was it? | java.lang.IllegalArgumentException: who was it?",
        "raised java.lang.StackOverflowError | java.lang.StackOverflowError",
        f"raised {lost} | java.lang.IllegalStateException: {lost}",
        repr([(200, b"fine", b""), (200, b"again", b"")]),
    ]


def test_a_batch_processor_answers_single_requests_too(tmp_path: Path) -> None:
    script = "print(made().handle()(Request.build(b'alone')))"
    jar = java.jar_of({"Pairs.java": PAIRS})
    assert java.printed(script, tmp_path, jar, main_class="Pairs") == repr((200, b"alone", b""))
