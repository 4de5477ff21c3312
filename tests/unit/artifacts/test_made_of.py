"""Whether a workspace was made of what lies there now, the service's own file aside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from eas_engine.artifacts.workspace.workspace import (
    MODEL,
    PROCESSOR,
    Content,
    Workspace,
    holds,
    make_workspace,
)


def make(directory: Path, model: Path | None = None) -> Workspace:
    for name in ("app.py", "service.json", "sub/more.py"):
        path = directory / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (directory / "code" / "link").symlink_to("app.py")
    return make_workspace(
        directory / "versions",
        processor=Content(directory / "code"),
        model=Content(model) if model is not None else None,
        config={},
    )


def is_made(workspace: Workspace, directory: Path, model: Path | None = None) -> bool:
    contents = {PROCESSOR: Content(directory / "code")}
    if model is not None:
        contents[MODEL] = Content(model)
    return holds(workspace.root, contents, None, directory / "code" / "service.json")


def test_what_nobody_touched_is_the_same(tmp_path: Path) -> None:
    assert is_made(make(tmp_path), tmp_path)


def test_what_a_processor_does_in_its_workspace_is_no_matter(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    (workspace.root / PROCESSOR / "app.py").write_text("by itself")

    assert is_made(workspace, tmp_path)


@pytest.mark.parametrize("edit", [lambda path: path.write_text("{  }"), Path.unlink], ids=["edit", "unlink"])
def test_the_file_of_the_service_does_not_count(tmp_path: Path, edit: Callable[[Path], object]) -> None:
    workspace = make(tmp_path)
    edit(tmp_path / "code" / "service.json")

    assert is_made(workspace, tmp_path)


def test_nor_does_it_where_the_directory_is_named_by_a_link(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "code")
    (tmp_path / "code" / "service.json").write_text("{  }")

    content = {PROCESSOR: Content(tmp_path / "other")}
    assert holds(workspace.root, content, None, tmp_path / "other" / "service.json")


def retarget(path: Path) -> None:
    (path / "link").unlink()
    (path / "link").symlink_to("sub")


@pytest.mark.parametrize(
    "edit",
    [
        lambda path: (path / "app.py").write_text("other"),
        lambda path: os.utime(path / "app.py", (1, 1)),
        lambda path: (path / "sub" / "more.py").chmod(0o755),
        lambda path: (path / "sub" / "new.py").write_text(""),
        lambda path: (path / "sub" / "service.json").write_text(""),
        lambda path: (path / "sub" / "more.py").unlink(),
        lambda path: (path / "empty").mkdir(),
        retarget,
    ],
)
def test_everything_else_does(tmp_path: Path, edit: Callable[[Path], object]) -> None:
    workspace = make(tmp_path)
    edit(tmp_path / "code")

    assert not is_made(workspace, tmp_path)


def test_a_model_of_one_file_counts_by_its_name_too(tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_text("weights")
    workspace = make(tmp_path, model)

    assert is_made(workspace, tmp_path, model)
    assert not is_made(workspace, tmp_path)
    model.write_text("other weights")
    assert not is_made(workspace, tmp_path, model)
    other = model.rename(tmp_path / "other.bin")
    assert not is_made(workspace, tmp_path, other)


def test_a_workspace_that_is_gone_was_made_of_nothing(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    (workspace.root.parent / "made.json").unlink()

    assert not is_made(workspace, tmp_path)
