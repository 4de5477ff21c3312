"""The workspace of a version: what is put there, shared or copied, found again, made anew, tidied."""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eas_engine.artifacts.workspace import workspace as module
from eas_engine.artifacts.workspace.placing import LARGE
from eas_engine.artifacts.workspace.workspace import (
    KEPT,
    Content,
    OtherFilesError,
    Workspace,
    find_workspace,
    identity_of,
    make_workspace,
)
from eas_engine.errors import ArtifactError
from support.archives import contents


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model as it lies in the cache."""
    tree = tmp_path / "cache/tree"
    (tree / "1").mkdir(parents=True)
    (tree / "1/weights.bin").write_bytes(bytes(LARGE))
    (tree / "1/config.json").write_bytes(b"{}")
    (tree / "latest").symlink_to("1/weights.bin")
    return tree


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A processor as it lies in somebody's directory."""
    tree = tmp_path / "package"
    tree.mkdir()
    (tree / "app.py").write_bytes(b"app")
    (tree / "run.sh").write_bytes(b"run")
    (tree / "run.sh").chmod(0o750)
    return tree


def make(tmp_path: Path, model: Path | None = None, processor: Path | None = None, **given: Any) -> Workspace:
    return make_workspace(
        tmp_path / "state/a/versions",
        model=Content(model, cached=True, identity=given.pop("identity", "1")) if model else None,
        processor=Content(processor) if processor else None,
        config=given.pop("config", {}),
        **given,
    )


def test_everything_is_where_processors_expect_it(tmp_path: Path, model: Path, package: Path) -> None:
    made = make(tmp_path, model, package, config={"name": "a", "text": "\u00fc"})
    assert (made.model, made.processor) == (made.root / "model", made.root / "predictor/processor")
    assert contents(made.root / "model") == contents(model)
    assert contents(made.root / "predictor/processor") == contents(package)
    assert json.loads((made.root / "config/config.json").read_bytes()) == {"name": "a", "text": "\u00fc"}
    from_the_working_directory = os.path.join(str(made.processor), "../../model/1/config.json")  # noqa: PTH118
    assert Path(from_the_working_directory).read_bytes() == b"{}"
    assert not any(
        path.is_symlink() for path in (made.root, *made.root.iterdir(), made.root / "predictor/processor")
    )
    assert (made.root / "predictor/processor/run.sh").stat().st_mode & 0o777 == 0o750


def test_large_files_of_the_cache_are_shared_and_cannot_be_written(tmp_path: Path, model: Path) -> None:
    made = make(tmp_path, model)
    large = made.root / "model/1/weights.bin"
    if large.stat().st_ino != (model / "1/weights.bin").stat().st_ino:
        pytest.skip("this file system has reflinks, so nothing is shared by hard links")
    assert made.links == (large,)
    assert large.stat().st_mode & 0o222 == 0


def test_small_files_of_the_cache_are_the_workspaces_own(tmp_path: Path, model: Path) -> None:
    (model / "1/config.json").chmod(0o444)
    small = make(tmp_path, model).root / "model/1/config.json"
    small.write_bytes(b"changed by a processor")
    assert (model / "1/config.json").read_bytes() == b"{}"


def test_local_files_are_copied_however_large(tmp_path: Path, package: Path) -> None:
    (package / "large").write_bytes(os.urandom(3 * LARGE))
    made = make(tmp_path, processor=package)
    copy = made.root / "predictor/processor/large"
    assert made.links == ()
    assert copy.read_bytes() == (package / "large").read_bytes()
    assert copy.stat().st_mtime_ns == (package / "large").stat().st_mtime_ns
    copy.write_bytes(b"")
    assert (package / "large").stat().st_size == 3 * LARGE


def test_what_cannot_be_linked_is_copied(tmp_path: Path, model: Path) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no other file system to be had at /dev/shm")
    versions = memory / f"eas-test-{os.getpid()}"
    try:
        made = make_workspace(versions, model=Content(model, cached=True), processor=None, config={})
        assert made.links == ()
        assert contents(made.root / "model") == contents(model)
    finally:
        shutil.rmtree(versions)


def test_a_plain_file_lies_alone_under_its_name(tmp_path: Path, model: Path) -> None:
    file = model / "1/weights.bin"
    made = make_workspace(
        tmp_path / "v", model=Content(file, "m.bin", cached=True), processor=Content(file), config={}
    )
    assert [path.name for path in (made.root / "model").iterdir()] == ["m.bin"]
    assert [path.name for path in (made.root / "predictor/processor").iterdir()] == ["weights.bin"]


@pytest.mark.parametrize("name", ["a/b", "..", "."])
def test_a_name_that_is_none_is_refused(tmp_path: Path, model: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="can't be the name of a file"):
        make_workspace(
            tmp_path / "v", model=Content(model / "1/weights.bin", name), processor=None, config={}
        )


def test_the_same_contents_find_the_same_workspace(tmp_path: Path, model: Path, package: Path) -> None:
    first = make(tmp_path, model, package)
    (first.root / "predictor/processor/added.log").write_bytes(b"x")
    again = make(tmp_path, model, package, config={"new": 1})
    assert (again.root, again.made, again.links) == (first.root, False, first.links)
    assert (again.root / "predictor/processor/added.log").exists()
    assert json.loads((again.root / "config/config.json").read_bytes()) == {"new": 1}


def test_other_contents_get_another_workspace_and_the_way_back_finds_the_first(
    tmp_path: Path, model: Path, package: Path
) -> None:
    first = make(tmp_path, model, package)
    (package / "app.py").write_bytes(b"app, changed")
    second = make(tmp_path, model, package)
    third = make(tmp_path, model, package, identity="2")
    assert len({first.root, second.root, third.root}) == 3
    assert (first.root / "predictor/processor/app.py").read_bytes() == b"app"
    assert not make(tmp_path, model, package).made


@pytest.mark.parametrize("damage", ["change", "delete", "link", "truncate", "record"])
def test_a_workspace_that_is_not_as_it_was_made_is_made_anew(
    tmp_path: Path, model: Path, package: Path, damage: str
) -> None:
    first = make(tmp_path, model, package)
    file = first.root / "predictor/processor/app.py"
    match damage:
        case "change":
            file.write_bytes(b"other")
        case "delete":
            file.unlink()
        case "link":
            (first.root / "model/latest").unlink()
            (first.root / "model/latest").symlink_to("/etc/passwd")
        case "truncate":
            file.write_bytes(b"")
        case "record":
            (first.root.parent / "made.json").write_bytes(b'{"format": 1')
    again = make(tmp_path, model, package)
    assert (again.root, again.made) == (first.root, True)
    assert contents(again.root / "predictor/processor") == contents(package)
    assert contents(again.root / "model") == contents(model)


def test_what_an_interrupted_start_left_is_no_workspace_and_goes(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process can die between any two steps: here, at each file system call that makes one."""
    names = ["mkdir", "rename", "write_text", "chmod"]
    for name in names:
        real = getattr(Path, name)
        for count in range(12):
            left = [count]

            def dying(self: Path, *rest: Any, real: Any = real, left: list[int] = left, **more: Any) -> Any:
                if str(self).startswith(str(tmp_path / "state")):
                    left[0] -= 1
                    if left[0] < 0:
                        os._exit(9)  # nobody cleans up after it
                return real(self, *rest, **more)

            child = os.fork()
            if not child:
                try:
                    monkeypatch.setattr(Path, name, dying)
                    make(tmp_path, processor=package)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            made = make(tmp_path, processor=package)
            assert contents(made.root / "predictor/processor") == contents(package)
            assert [path.name for path in made.root.parent.parent.iterdir()] == [made.root.parent.name]
            shutil.rmtree(tmp_path / "state")


def test_the_workspaces_used_last_are_kept(tmp_path: Path, package: Path) -> None:
    made: list[Workspace] = []
    for number in range(KEPT + 2):
        (package / "app.py").write_bytes(b"x" * number)
        made.append(make(tmp_path, processor=package))
        for age, each in enumerate(reversed(made)):
            if each.root.exists():
                os.utime(each.root.parent / "made.json", (1000 - age, 1000 - age))
    kept = sorted(path.name for path in made[0].root.parent.parent.iterdir())
    assert kept == sorted(each.root.parent.name for each in made[-KEPT:])


def test_what_a_processor_made_unreadable_is_removed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "w/deep/er").mkdir(parents=True)
    (tmp_path / "w/deep/er/x").touch()
    (tmp_path / "w/deep").chmod(0)
    module.remove(tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_the_state_directory_in_a_local_directory_is_left_out(tmp_path: Path, package: Path) -> None:
    root = package / "var/state"
    (root / "a/versions").mkdir(parents=True)
    (root / "secret").write_bytes(b"")
    made, again = (
        make_workspace(root / "a/versions", model=None, processor=Content(package), config={}, leave_out=root)
        for _ in range(2)
    )
    assert made.made
    assert not again.made
    assert set(contents(made.root / "predictor/processor")) == {"app.py", "run.sh", "var"}


def test_a_local_directory_that_is_the_state_directory_is_copied_without_what_engines_keep(
    tmp_path: Path, package: Path
) -> None:
    for name in ("a/versions", "b", "140500/c", "cache", "sdk-123"):
        (package / name).mkdir(parents=True)
    for name in ("a/lock", "b/lock", "140500/c/lock"):
        (package / name).touch()
    made, again = (
        make_workspace(
            package / "a/versions", model=None, processor=Content(package), config={}, leave_out=package
        )
        for _ in range(2)
    )
    assert made.made
    assert not again.made
    assert set(contents(made.root / "predictor/processor")) == {"app.py", "run.sh", "140500"}


@pytest.mark.parametrize("token", ["admin-token", "token", "token.configured"])
def test_another_engines_state_directory_is_left_out_with_its_tokens_and_said_so(
    tmp_path: Path, package: Path, token: str
) -> None:
    state = package / "var/other/140500/digits"
    state.mkdir(parents=True)
    for name in ("lock", token):
        (state / name).write_text("secret")
    made = make(tmp_path, processor=package, leave_out=tmp_path / "state")
    assert set(contents(made.root / "predictor/processor")) == {
        "app.py",
        "run.sh",
        "var",
        "var/other",
        "var/other/140500",
    }
    assert made.notes == (f"{state} is an engine's state directory, with its tokens, and was left out",)
    (state / "engine.json").write_text("what an engine writes there makes no other version")
    assert not make(tmp_path, processor=package, leave_out=tmp_path / "state").made


def test_what_looks_like_a_state_directory_in_the_cache_is_somebody_elses_archive(
    tmp_path: Path, model: Path
) -> None:
    for name in ("lock", "token"):
        (model / "1" / name).write_text("of a tokenizer")
    assert "1/token" in contents(make(tmp_path, model).root / "model")


def test_a_state_directory_is_no_processor(tmp_path: Path, package: Path) -> None:
    for name in ("lock", "admin-token"):
        (package / name).write_text("secret")
    with pytest.raises(ArtifactError, match="is an engine's state directory, with its tokens: name another"):
        make(tmp_path, processor=package)


def test_links_of_a_local_directory_that_lead_out_are_followed(tmp_path: Path, package: Path) -> None:
    blobs = tmp_path / "blobs"
    (blobs / "sub").mkdir(parents=True)
    (blobs / "weights").write_bytes(b"weights")
    (blobs / "sub/x").write_bytes(b"x")
    (package / "relative").symlink_to("../blobs/weights")
    (package / "absolute").symlink_to(blobs / "sub")
    (package / "absolute-inside").symlink_to(package / "app.py")
    (package / "inside").symlink_to("app.py")
    (package / "dangling").symlink_to("/nowhere/at/all")
    (package / "above").symlink_to("..")
    made = make(tmp_path, processor=package)
    found = contents(made.root / "predictor/processor")
    assert found["relative"] == b"weights"
    assert found["absolute/x"] == b"x"
    assert found["absolute-inside"] == b"app"
    assert found["inside"] == "-> app.py"
    assert found["dangling"] == "-> /nowhere/at/all"
    assert "above" not in found
    assert made.notes == (f"{package}/above leads to a directory that it lies in, and was left out",)


def test_sockets_and_pipes_are_left_out_and_said_so(tmp_path: Path, package: Path) -> None:
    os.mkfifo(package / "pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(package)
        try:
            listening.bind("sock")
        finally:
            os.chdir(here)
    made = make(tmp_path, processor=package)
    assert set(contents(made.root / "predictor/processor")) == {"app.py", "run.sh"}
    assert sorted(made.notes) == [
        f"{package / name} is no file, directory or link, and was left out" for name in ("pipe", "sock")
    ]
    assert make(tmp_path, processor=package).notes == made.notes


def test_names_that_are_not_utf_8_are_kept(tmp_path: Path, package: Path) -> None:
    (package / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    assert os.fsdecode(b"caf\xe9") in contents(make(tmp_path, processor=package).root / "predictor/processor")
    assert not make(tmp_path, processor=package).made


def test_a_disk_without_room_is_said_so_and_nothing_stays(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eas_engine.artifacts.workspace.placing._copy_contents", full)
    with pytest.raises(ArtifactError, match=r"the workspace can't be made: .*No space left on device"):
        make(tmp_path, processor=package)
    assert list((tmp_path / "state/a/versions").iterdir()) == []


def test_without_anything_there_are_empty_directories(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert set(contents(made.root)) == {
        "model",
        "predictor",
        "predictor/processor",
        "config",
        "config/config.json",
    }
    assert (made.model, made.processor) == (None, None)


def test_a_workspace_that_somebody_works_in_is_not_mended_under_them(tmp_path: Path, model: Path) -> None:
    first = make(tmp_path, model)
    (first.root / "model/1/config.json").write_bytes(b"a processor wrote this")

    second = make(tmp_path, model, in_use=[first.root])
    third = make(tmp_path, model, in_use=[first.root, second.root])

    assert (first.root / "model/1/config.json").read_bytes() == b"a processor wrote this"
    assert (second.root / "model/1/config.json").read_bytes() == b"{}"
    assert second.root.parent.name == f"{first.root.parent.name}-2"
    assert (third.root, third.made) == (second.root, False)


def test_a_whole_workspace_is_shared_with_those_who_work_in_it(tmp_path: Path, model: Path) -> None:
    first = make(tmp_path, model)

    again = make(tmp_path, model, in_use=[first.root])

    assert (again.root, again.made) == (first.root, False)


def test_what_is_in_use_is_not_tidied_however_old_it_is(tmp_path: Path, model: Path) -> None:
    used = make(tmp_path, model, identity="used")
    os.utime(used.root.parent / "made.json", (0, 0))

    for number in range(KEPT + 2):
        make(tmp_path, model, identity=str(number), in_use=[used.root])

    assert (used.root / "model/1/config.json").read_bytes() == b"{}"


def test_what_a_rollback_would_want_is_not_tidied_under_another_name_either(
    tmp_path: Path, model: Path
) -> None:
    """The one made beside a workspace that was in use, and changed, then."""
    first = make(tmp_path, model)
    (first.root / "model/1/config.json").write_bytes(b"a processor wrote this")
    second = make(tmp_path, model, in_use=[first.root])
    for made in (first, second):
        os.utime(made.root.parent / "made.json", (0, 0))

    for number in range(KEPT + 2):
        make(tmp_path, model, identity=f"other {number}", keep=[second.identity])

    assert find_workspace(tmp_path / "state/a/versions", second.identity, {}) == replace(second, made=False)


# -- found again, whatever lies there now


def test_an_earlier_workspace_is_found_by_its_identity(tmp_path: Path, model: Path, package: Path) -> None:
    first = make(tmp_path, model, package)
    shutil.rmtree(package)

    found = find_workspace(tmp_path / "state/a/versions", first.identity, {"new": 1})

    assert found == replace(first, made=False)
    assert json.loads((first.root / "config/config.json").read_bytes()) == {"new": 1}


def test_one_that_was_changed_is_not_found_but_the_one_made_beside_it(tmp_path: Path, model: Path) -> None:
    first = make(tmp_path, model)
    (first.root / "model/1/config.json").write_bytes(b"a processor wrote this")
    assert find_workspace(tmp_path / "state/a/versions", first.identity, {}) is None

    second = make(tmp_path, model, in_use=[first.root])
    assert find_workspace(tmp_path / "state/a/versions", first.identity, {}) == replace(second, made=False)


@pytest.mark.parametrize("identity", ["", "..", "a", "0" * 16, "*" * 16, "0" * 15 + "/"])
def test_what_is_no_identity_finds_nothing(tmp_path: Path, model: Path, identity: str) -> None:
    make(tmp_path, model)
    assert find_workspace(tmp_path / "state/a/versions", identity, {}) is None


def test_what_an_earlier_engine_made_is_found_once_it_was_used_again(tmp_path: Path, package: Path) -> None:
    """It didn't write down which contents were a plain file."""
    file = package / "app.py"
    made = make(tmp_path, processor=file)
    record = made.root.parent / "made.json"
    without = {key: value for key, value in json.loads(record.read_bytes()).items() if key != "names"}
    record.write_text(json.dumps(without))
    assert find_workspace(tmp_path / "state/a/versions", made.identity, {}) is None

    again = make(tmp_path, processor=file)

    assert (again.made, again.names) == (False, {"predictor/processor": "app.py"})
    assert find_workspace(tmp_path / "state/a/versions", made.identity, {}) == again


def test_of_contents_with_another_identity_nothing_is_made(tmp_path: Path, package: Path) -> None:
    with pytest.raises(OtherFilesError):
        make(tmp_path, processor=package, only="0" * 16)
    assert list((tmp_path / "state/a/versions").iterdir()) == []
    made = make(tmp_path, processor=package)
    assert make(tmp_path, processor=package, only=made.identity).root == made.root
    assert identity_of(None, Content(package), None) == made.identity
