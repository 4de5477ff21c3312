from __future__ import annotations

from pathlib import Path

import pytest

from eas_processors.model_files import model_file


def touch(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def onnx(model_entry: str) -> Path:
    return model_file(model_entry, (".onnx",), "an ONNX model")


def test_a_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "weights.bin")
    assert onnx(f"{tmp_path}/weights.bin") == tmp_path / "weights.bin"


def test_the_only_file_of_its_kind_in_a_directory_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "labels.txt", "model.ONNX", "old/other.onnx", ".cache.onnx")
    assert onnx(f"{tmp_path}/") == tmp_path / "model.ONNX"


def test_without_one_at_the_top_it_is_searched_below(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/model.onnx", "a/.b/model.onnx")
    assert onnx(f"{tmp_path}/") == tmp_path / "a/b/model.onnx"


def test_several_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "b.onnx", "a.onnx")
    with pytest.raises(ValueError, match=r"several .*: a\.onnx, b\.onnx; say which one with model_entry"):
        onnx(f"{tmp_path}/")


def test_with_none_the_directory_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "sub/x.txt", *(f"{i}.txt" for i in range(20)))
    with pytest.raises(
        ValueError, match=r"no file that is an ONNX model \(\.onnx\); .* 0\.txt, .* and 11 more"
    ):
        onnx(f"{tmp_path}/")


def test_no_model_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the service has no model: model_path must lead to an ONNX model"):
        onnx("")
    with pytest.raises(ValueError, match="doesn't exist"):
        onnx(f"{tmp_path}/nothing.onnx")
