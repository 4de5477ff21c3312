"""Where the loader looks for what a processor brings along."""

from __future__ import annotations

from pathlib import Path

from eas_engine.artifacts.libraries import search_path


def test_the_package_comes_first_with_its_lib_folders(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib64").mkdir()
    found = search_path(tmp_path, tmp_path / "libx.so", "/opt/a:/opt/b")
    assert found == f"{tmp_path}:{tmp_path}/lib:{tmp_path}/lib64:/opt/a:/opt/b"


def test_a_library_in_a_folder_of_the_package_has_its_neighbours_first(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    found = search_path(tmp_path, tmp_path / "bin" / "libx.so", "")
    assert found == f"{tmp_path}/bin:{tmp_path}:{tmp_path}/lib"


def test_no_empty_part_would_mean_the_working_directory(tmp_path: Path) -> None:
    assert search_path(tmp_path, tmp_path / "x.so", ":/opt::") == f"{tmp_path}:/opt"


def test_a_directory_that_the_loader_would_cut_is_left_out(tmp_path: Path) -> None:
    odd = tmp_path / "a:b"
    odd.mkdir()
    assert search_path(odd, odd / "x.so", "/opt") == "/opt"
