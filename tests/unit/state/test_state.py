"""The state directory: who holds it, what survives, and what a hostile one may not do."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine import private_files
from eas_engine.errors import ConfigurationError
from eas_engine.state import (
    EngineRecord,
    StateDirectory,
    default_root,
    directory_of,
    find_engines,
    new_token,
)

HOLDER = """
import sys
from pathlib import Path
from eas_engine.state import StateDirectory
state = StateDirectory.acquire(Path(sys.argv[1]), "digits")
print(state.token(None).text, flush=True)
sys.stdin.read()
"""


def record(directory: Path, **changes: object) -> EngineRecord:
    fields: dict[str, object] = {
        "name": "digits",
        "pid": os.getpid(),
        "version": "0.1.0",
        "started": 1.5,
        "host": "0.0.0.0",
        "port": 8080,
        "admin_host": "127.0.0.1",
        "admin_port": 9090,
        "url": "http://127.0.0.1:8080/api/predict/digits",
        "admin_url": "http://127.0.0.1:9090",
        "config": "/srv/service.json",
        "token_file": str(directory / "token"),
        "admin_token_file": str(directory / "admin-token"),
    }
    return EngineRecord(**(fields | changes))  # type: ignore[arg-type]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def no_wait(_seconds: float) -> None:
    return None


def test_directories_are_private_also_the_parents_it_makes(tmp_path: Path) -> None:
    with StateDirectory.acquire(tmp_path / "a" / "b", "digits", "ws-1") as state:
        assert state.path == tmp_path / "a" / "b" / "ws-1" / "digits"
        assert [mode(path) for path in [state.path, state.path.parent, tmp_path / "a"]] == [0o700] * 3


def test_a_directory_left_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits").chmod(0o777)
    with StateDirectory.acquire(tmp_path, "digits") as state:
        assert mode(state.path) == 0o700


def test_a_second_engine_of_the_name_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with pytest.raises(ConfigurationError, match=rf"'digits' is running already \(pid {first.pid},"):
            StateDirectory.acquire(tmp_path, "digits", pause=no_wait)
        with StateDirectory.acquire(tmp_path, "other"), StateDirectory.acquire(tmp_path, "digits", "ws"):
            pass  # another name, or another workspace, is another engine


def test_what_a_killed_engine_left_is_taken_over_and_its_token_survives(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        token = first.stdout.readline().strip()
        (tmp_path / "digits" / "engine.json").write_text("{}")
        (tmp_path / "digits" / ".token.99.new").write_text("half a tok")
        first.send_signal(signal.SIGKILL)
    assert not private_files.is_held(tmp_path / "digits" / "lock")
    with StateDirectory.acquire(tmp_path, "digits") as state:
        assert sorted(path.name for path in state.path.iterdir()) == ["lock", "token"]
        kept = state.token(None)
        assert kept is not None
        assert (kept.text, kept.fresh) == (token, False)


def test_a_look_at_the_lock_at_the_wrong_moment_does_not_refuse_an_engine(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "lock").touch()
    look = os.open(tmp_path / "digits" / "lock", os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            os.close(look)

    with StateDirectory.acquire(tmp_path, "digits", pause=wait):
        assert len(waits) == 2


def test_the_generated_token_looks_like_the_clouds(tmp_path: Path) -> None:
    with StateDirectory.acquire(tmp_path, "digits") as state:
        token = state.token(None)
    assert token is not None
    assert token.fresh
    assert len(token.text) == 56
    int(base64.b64decode(token.text), 16)
    assert mode(token.file) == 0o600
    assert token.text not in repr(token)


def test_a_configured_token_goes_before_the_generated_one_and_does_not_destroy_it(tmp_path: Path) -> None:
    with StateDirectory.acquire(tmp_path, "digits") as state:
        generated = state.token(None)
        configured = state.token("from service.json")
        assert configured is not None
        assert configured.text == configured.file.read_text() == "from service.json"
        assert mode(configured.file) == 0o600
        again = state.token("")
        assert generated is not None
        assert again is not None
        assert again.text == generated.text
        assert not configured.file.exists()


def test_generate_token_false_is_an_open_service(tmp_path: Path) -> None:
    with StateDirectory.acquire(tmp_path, "digits") as state:
        assert state.token(None, generate=False) is None
        assert state.admin_token().text != ""


def test_the_record_says_where_and_never_the_token(tmp_path: Path) -> None:
    with StateDirectory.acquire(tmp_path, "digits") as state:
        token, admin = state.token(None), state.admin_token()
        assert token is not None
        path = state.publish(record(state.path))
        assert mode(path) == 0o644
        assert token.text not in path.read_text()
        assert admin.text not in path.read_text()
        (found,), problems = find_engines(tmp_path)
        assert (found.running, problems) == (True, [])
        assert found.record == record(state.path)
        assert (found.token(), found.admin_token()) == (token.text, admin.text)
    assert not path.exists()
    assert find_engines(tmp_path) == ([], [])


def test_a_record_without_its_engine_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "ws" / "digits"
    path.mkdir(parents=True)
    (path / "engine.json").write_text(json.dumps({**vars_of(record(path))}))
    (found,), _ = find_engines(tmp_path)
    assert not found.running


def vars_of(of: EngineRecord) -> dict[str, object]:
    return {key: getattr(of, key) for key in of.__dataclass_fields__}


def test_a_record_can_not_send_us_to_another_directory_for_a_token(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("elsewhere")
    path = tmp_path / "digits"
    path.mkdir()
    fields = vars_of(
        record(path, token_file=str(tmp_path / "secret"), admin_token_file=str(tmp_path / "secret"))
    )
    (path / "engine.json").write_text(json.dumps(fields))
    (found,), _ = find_engines(tmp_path)
    with pytest.raises(ConfigurationError):
        found.token()
    with pytest.raises(ConfigurationError):
        found.admin_token()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", "null", "{}", "[" * 100_000, '{"pid": "x"}', "x" * (2 << 20), "\x00\xff"]
)
def test_a_corrupt_record_is_a_problem_with_its_path_not_a_crash(tmp_path: Path, text: str) -> None:
    path = tmp_path / "digits" / "engine.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    found, problems = find_engines(tmp_path)
    assert found == []
    assert len(problems) == 1
    assert str(path) in problems[0]


@pytest.mark.parametrize("data", [b"", b"\n", b"a\x00b", b"\xff\xfe", b"x" * 5000, b"two\nlines"])
def test_a_corrupt_token_file_is_a_clear_error(tmp_path: Path, data: bytes) -> None:
    with StateDirectory.acquire(tmp_path, "digits") as state:
        (state.path / "token").write_bytes(data)
        with pytest.raises(ConfigurationError, match=r"token.*delete it"):
            state.token(None)


def test_a_token_file_open_to_others_is_closed(tmp_path: Path) -> None:
    with StateDirectory.acquire(tmp_path, "digits") as state:
        (state.path / "token").write_text("mine\n")
        (state.path / "token").chmod(0o644)
        token = state.token(None)
        assert token is not None
        assert token.text == "mine"
        assert mode(token.file) == 0o600


def test_nothing_is_followed_through_a_symbolic_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "token").write_text("known to somebody")
    root = tmp_path / "root"
    with StateDirectory.acquire(root, "digits") as state:
        (state.path / "token").symlink_to(outside / "token")
        with pytest.raises(ConfigurationError):
            state.token(None)
    (root / "linked").symlink_to(outside)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        StateDirectory.acquire(root, "linked")


def test_a_fifo_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    with StateDirectory.acquire(tmp_path, "digits") as state:
        os.mkfifo(state.path / "token")
        with pytest.raises(ConfigurationError, match="regular file"):
            state.token(None)


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "digits").write_text("")
    with pytest.raises(ConfigurationError, match="digits"):
        StateDirectory.acquire(tmp_path, "digits")
    with pytest.raises(ConfigurationError, match="digits"):
        StateDirectory.acquire(tmp_path / "digits", "digits")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a file of another user")
def test_what_belongs_to_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    os.chown(tmp_path / "digits", 65534, 65534)
    with pytest.raises(ConfigurationError, match="belongs to user 65534"):
        StateDirectory.acquire(tmp_path, "digits")


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_name_and_no_workspace_lead_out_of_the_root(name: str, workspace: str) -> None:
    root = Path("/srv/state")
    try:
        path = directory_of(root, name, workspace)
    except ConfigurationError:
        return
    assert root in path.parents
    assert Path(os.path.normpath(path)) == path


@pytest.mark.parametrize(
    ("name", "workspace"), [("..", ""), ("a/b", ""), ("", ""), ("a", ".."), ("a", "a\n")]
)
def test_names_that_are_no_directories_are_refused(name: str, workspace: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be the name of a directory"):
        directory_of(Path("/srv"), name, workspace)


def test_the_default_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == Path("/var/lib/eas-engine")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/u/state")
    assert default_root() == Path("/home/u/state/eas-engine")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # the specification: ignore it
    monkeypatch.setenv("HOME", "/home/u")
    assert default_root() == Path("/home/u/.local/state/eas-engine")


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100
