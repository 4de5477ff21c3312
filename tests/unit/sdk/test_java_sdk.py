"""The Java SDK: the jar in the repository is what its sources say, and its README can be believed."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from support import java
from support.repository import ROOT

SDK = ROOT / "sdk" / "java"
README = (SDK / "README.md").read_text()
MAVEN = "{http://maven.apache.org/POM/4.0.0}"
MAKE_IT = "run: python scripts/java_sdk.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    """What makes the jar."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "java_sdk.py")))


def manifest() -> dict[str, str]:
    with zipfile.ZipFile(java.SDK_JAR) as jar:
        lines = jar.read("META-INF/MANIFEST.MF").decode().splitlines()
    return dict(line.split(": ", 1) for line in lines if line)


def test_the_jar_is_made_of_these_sources(script: SimpleNamespace) -> None:
    assert manifest()["Sources"] == script.digest(), MAKE_IT


def test_the_jar_is_what_the_compiler_makes_of_them(script: SimpleNamespace, tmp_path: Path) -> None:
    java.needs_java()
    if script.compiler() != manifest()["Compiler"]:
        pytest.skip(f"javac isn't of version {manifest()['Compiler']}, which made the jar")
    script.make(tmp_path / "again.jar")
    with zipfile.ZipFile(java.SDK_JAR) as kept, zipfile.ZipFile(tmp_path / "again.jar") as again:
        assert kept.namelist() == again.namelist()
        differing = [name for name in kept.namelist() if kept.read(name) != again.read(name)]
    assert differing == [], MAKE_IT


def test_java_8_can_read_it() -> None:
    with zipfile.ZipFile(java.SDK_JAR) as jar:
        versions = {jar.read(name)[6:8] for name in jar.namelist() if name.endswith(".class")}
    assert versions == {(52).to_bytes(2, "big")}


def test_make_builds_it_and_its_documentation_without_a_warning(tmp_path: Path) -> None:
    java.needs_java()
    shutil.copytree(SDK, tmp_path / "java", ignore=shutil.ignore_patterns("build"))
    said = subprocess.run(
        ["make", "-C", str(tmp_path / "java"), "--no-print-directory", "build/eas-sdk.jar", "doc"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "warning" not in said.stdout + said.stderr
    assert (tmp_path / "java/build/doc/eas/sdk/Processor.html").exists()


def test_the_pom_asks_for_nothing_but_mavens_own_plugins() -> None:
    pom = ET.parse(SDK / "pom.xml").getroot()
    assert pom.find(f"{MAVEN}artifactId").text == "eas-sdk"  # type: ignore[union-attr]
    assert [pom.find(f"{MAVEN}{name}") for name in ("dependencies", "build", "repositories", "parent")] == [
        None
    ] * 4
    assert pom.find(f"{MAVEN}properties/{MAVEN}maven.compiler.source").text == "8"  # type: ignore[union-attr]


def snippets() -> dict[str, str]:
    """The README's classes by the names of their files."""
    found = re.findall(r"```java\n(.*?)```", README, re.DOTALL)
    return {re.search(r"public class (\w+)", text)[1] + ".java": text for text in found}  # type: ignore[index]


def test_the_readmes_classes_compile_and_their_test_passes() -> None:
    jar = java.jar_of(snippets())
    command = ["java", "-cp", f"{jar}:{java.SDK_JAR}", "com.example.HelloTest"]
    assert subprocess.run(command, check=False, capture_output=True, text=True).stderr == ""


def test_the_readmes_processors_serve(tmp_path: Path) -> None:
    jar = java.jar_of(snippets())
    script = "print(made().handle()(Request.build(b'you')))"
    assert java.printed(script, tmp_path, jar, main_class="com.example.Upper") == "(200, b'YOU', b'')"
    seen = java.printed(script, tmp_path, jar, main_class="com.example.Hello", model_config="hi")
    assert seen == "(200, b'hi you', b'X-Language: en\\r\\n')"
    script = """
(good, bad), _ = made().handle_batch()([Request.build(b"you"), Request.build(b"")])
print(good, bad)
"""
    assert java.printed(script, tmp_path, jar, main_class="com.example.Lengths") == "(200, b'3', b'') empty"


def test_the_readmes_service_is_one(tmp_path: Path) -> None:
    (service,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    (tmp_path / "service.json").write_text(service)
    jar = tmp_path / json.loads(service)["processor_path"]
    jar.write_bytes(java.SDK_JAR.read_bytes())
    command = [sys.executable, "-m", "eas_engine", "check", "--config", str(tmp_path / "service.json")]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
