"""Where local processors and models are found, and what is said when they aren't."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from eas_engine.artifacts.local import in_place as resolve
from eas_engine.artifacts.local import look, split_entry
from eas_engine.errors import ArtifactError
from eas_engine.spec import ServiceSpec


def spec(**values: str) -> ServiceSpec:
    return ServiceSpec.model_validate({"name": "a", "processor_entry": "app.py", **values})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A directory with a processor, a package and a model."""
    (tmp_path / "app.py").touch()
    (tmp_path / "package" / "src").mkdir(parents=True)
    (tmp_path / "package" / "app.py").touch()
    (tmp_path / "package" / "src" / "main.py").touch()
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "weights.npz").touch()
    return tmp_path


def test_without_a_path_the_entry_lies_beside_the_file(base: Path) -> None:
    found = resolve(spec(), base)
    assert (found.processor_dir, found.entry, found.entry_class) == (base, base / "app.py", None)
    assert found.interpreter == Path(sys.executable)
    assert (found.model_path, found.model_entry) == ("", "")


def test_a_directory_and_a_class(base: Path) -> None:
    found = resolve(spec(processor_path="package", processor_entry="./src/main.py:Classifier"), base)
    assert found.processor_dir == base / "package"
    assert found.entry == base / "package" / "src" / "main.py"
    assert found.entry_class == "Classifier"


def test_a_plain_file_as_processor_path(base: Path) -> None:
    assert resolve(spec(processor_path="package/app.py"), base).processor_dir == base / "package"


def test_relative_bases_become_absolute(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    assert resolve(spec(), Path()).entry == base / "app.py"


@pytest.mark.parametrize(
    ("path", "entry", "expected"),
    [
        ("model", "", "{base}/model/"),
        ("model/", "", "{base}/model/"),
        ("model", "weights.npz", "{base}/model/weights.npz"),
        ("model", "./1/", "{base}/model/./1/"),
        ("model", "1", "{base}/model/1"),
        ("model/weights.npz", "", "{base}/model/weights.npz"),
        ("model/weights.npz", "weights.npz", "{base}/model/weights.npz"),
        ("{base}/model", "weights.npz", "{base}/model/weights.npz"),
    ],
)
def test_the_model_and_its_main_file(base: Path, path: str, entry: str, expected: str) -> None:
    found = resolve(spec(model_path=path.format(base=base), model_entry=entry), base)
    assert found.model_entry == expected.format(base=base)
    assert found.model_path == f"{base}/model"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"processor_entry": "ap.py"}, "ap.py is not there; in {base} there is: app.py, model/, package/"),
        ({"processor_entry": "package"}, "is a directory, not a file"),
        ({"processor_path": "none/deeper"}, "none/deeper is not there; in {base} there is: app.py"),
        ({"model_path": "modell"}, "model_path: {base}/modell is not there"),
        (
            {"model_path": "model", "model_entry": "2/"},
            "{base}/model/2/ is not there; in {base}/model there is: 1/",
        ),
        ({"model_path": "model", "model_entry": "weights.npz/"}, "weights.npz/ is not there"),
        ({"processor_entry": "x" * 300 + ".py"}, "File name too long"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(base: Path, values: dict[str, str], words: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        resolve(spec(**values), base)
    assert words.format(base=base) in str(caught.value)


def test_a_link_into_nowhere_says_so(base: Path) -> None:
    (base / "gone.py").symlink_to("/nowhere/app.py")
    with pytest.raises(ArtifactError, match=r"a link to /nowhere/app\.py, which is not there"):
        resolve(spec(processor_entry="gone.py"), base)


def test_what_must_be_fetched_or_unpacked_is_not_looked_at(base: Path) -> None:
    (base / "m.tar.gz").touch()
    look(spec(model_path="m.tar.gz", model_entry="1/", processor_path="oss://b/p.zip"), base)
    with pytest.raises(ArtifactError, match="processor_entry"):
        look(spec(model_path="m.tar.gz", processor_entry="none.py"), base)
    with pytest.raises(ArtifactError, match=r"n\.tar\.gz is not there"):
        look(spec(model_path="n.tar.gz"), base)


def test_a_java_processor_needs_no_entry(base: Path) -> None:
    (base / "package" / "a.jar").touch()
    java = {"processor_type": "java", "processor_mainclass": "A", "processor_entry": ""}
    found = resolve(spec(**java, processor_path="package/a.jar"), base)
    assert (found.entry, found.processor_dir) == (base / "package" / "a.jar", base / "package")
    assert resolve(spec(**java, processor_path="package"), base).entry == base / "package"


def test_the_package_s_own_interpreter(base: Path) -> None:
    python = base / "package" / "ENV" / "bin" / "python"
    python.parent.mkdir(parents=True)
    with pytest.raises(ArtifactError, match="environment is incomplete"):
        resolve(spec(processor_path="package"), base)
    python.symlink_to(os.path.realpath(sys.executable))
    assert resolve(spec(processor_path="package"), base).interpreter == python


def test_long_directories_are_listed_in_part(base: Path) -> None:
    for number in range(50):
        (base / f"file{number:02}").touch()
    with pytest.raises(ArtifactError, match="and 33 more"):
        resolve(spec(processor_entry="none.py"), base)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app.py", ("app.py", None)),
        ("./a/app.py:Digits", ("./a/app.py", "Digits")),
        ("a:b/app.py", ("a:b/app.py", None)),
        ("app.py:not-a-name", ("app.py:not-a-name", None)),
    ],
)
def test_entries_with_a_class(text: str, expected: tuple[str, str | None]) -> None:
    assert split_entry(text) == expected
