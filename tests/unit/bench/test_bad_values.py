"""Values that no option can have: each is told before anything is asked, in words that say what to give."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from eas_bench.cli import app

URL = "http://127.0.0.1:1/"
RUN, SWEEP, SOAK = ("run", URL), ("sweep", URL, "--slo", "p99=1s"), ("soak", URL, "--pid", "1")
NO_NUMBERS = ("", "-1", "0", "1.5", "nan", "inf", "1e400", "many", "5%", "10 s", "9" * 30, "\u0663")


def told(*arguments: str) -> str:
    """What it says, on one line, without the frame; it must have ended with 2."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400", "EAS_TOKEN": None})
    assert done.exit_code == 2, (done.output, done.exception)
    return " ".join("".join(" " if letter in "│─╭╰╮╯" else letter for letter in done.stderr).split())


@pytest.mark.parametrize(
    ("command", "option", "most"),
    [
        (RUN, "--connections", "1,000,000 at most"),
        ((*RUN, "--arrivals", "bursts"), "--burst", "1,000,000 at most"),
        (RUN, "--most-connections", "1,000,000 at most"),
        (RUN, "--processes", "64 at most"),
        (SWEEP, "--processes", "64 at most"),
        (("soak",), "--clients", "10,000 at most"),
        (("chaos",), "--instances", "1,000 at most"),
        (("chaos",), "--rogues", "10,000 at most"),
    ],
)
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_numbers_of_things_are_whole_and_bounded(
    command: tuple[str, ...], option: str, most: str, value: str
) -> None:
    """A crowd without a bound once took all memory, and a library's own words were all that was said."""
    said = told(*command, option, value)
    assert option in said
    assert f"{value!r}: expected a whole number, 1 at least, {most}" in said


def test_a_sweep_needs_three_runs() -> None:
    assert "'2': expected a whole number, 3 at least" in told(*SWEEP, "--trials", "2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read (No such file or directory); expected a file that holds the token"),
        ("a folder", "is a folder; name the file in it that holds the token"),
        (b"", "is empty; expected a token in it"),
        (b" \n", "is empty; expected a token in it"),
        (bytes(range(256)), "holds no token, which is one line of printable ASCII"),
        (b"one\ntwo\n", "holds no token, which is one line of printable ASCII"),
        ("\u00e9".encode(), "holds no token, which is one line of printable ASCII"),
    ],
)
def test_a_file_that_holds_no_token_is_told_with_what_is_expected(
    tmp_path: Path, content: bytes | str | None, words: str
) -> None:
    file = tmp_path / "token"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.mkdir()
    said = told(*RUN, "--token-file", str(file))
    assert f"{file} {words}" in said
    assert "Errno" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--config", "/"), "is a folder; name the service.json in it"),
        (("run", "--config", "x" * 300), "there is no such file; expected the service.json"),
        (("run", "http://.../"), "...: no such host: no name can be like this"),
        (("run", "http://h:0/"), "port 0 is none"),
        ((*RUN, "--grpc", "/a b/c"), "expected /package.Service/Method"),
        ((*RUN, "--metrics", "http://h:x"), "expected http://HOST:PORT of an admin plane"),
        ((*RUN, "--slo", ""), "is no term of an objective: write terms like p99=50ms"),
        ((*SOAK, "--slo", ""), "is no term of an objective: write terms like p99=50ms"),
        (("soak", URL, "--pid", "99999999"), "there is no process 99999999 on this machine"),
        (("compare", "a", "b", "--fail-if-worse", ""), "is no share: write 5%"),
        (("compare", "x" * 300, "b"), "can't be read: File name too long"),
        (("chaos", "--engine", " "), "there is no program nothing; expected such as 'eas-engine'"),
        (("chaos", "--engine", "no-such-engine -v"), "there is no program 'no-such-engine'"),
        (("soak", "--engine", "'open"), "is no command: no closing quotation"),
        (("baseline", "--against", "/dev/null"), "expected a file such as those of benchmarks/results"),
        (("run", "https://127.0.0.1:1/", "--cacert", "/"), "--cacert /: can't be read: Is a directory"),
    ],
)
def test_it_is_told_what_to_give(arguments: tuple[str, ...], words: str) -> None:
    """An empty bound, of a variable that isn't set, once bounded nothing and was a success."""
    assert words in told(*arguments)


def test_a_text_that_is_no_unicode_is_sent_as_it_was_typed() -> None:
    from eas_bench.bodies import gathered

    assert gathered([], ["\udcff!"], [], 0) == (b"\xff!",)
