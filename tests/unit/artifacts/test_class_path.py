"""Where a Java processor's classes are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.artifacts.class_path import class_path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("b.jar", "lib/a.jar", "lib/c.JAR", "z.jar", "notes.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    return tmp_path


@pytest.mark.parametrize("address", ["", "z.jar", "/x/z.JAR", "https://example.com/z.jar?signed=1"])
def test_a_jar_alone_is_its_own_class_path(package: Path, address: str) -> None:
    assert class_path(address, package, package / "z.jar") == (str(package / "z.jar"),)


@pytest.mark.parametrize("address", ["package", "package.tar.gz", "oss://bucket/package/"])
def test_of_a_package_everything_counts_and_the_entry_is_first(package: Path, address: str) -> None:
    jars = [str(package / name) for name in ("b.jar", "lib/a.jar", "z.jar")]
    assert class_path(address, package, package / "z.jar") == (jars[2], str(package), *jars[:2])
    assert class_path(address, package, package) == (str(package), *jars)
