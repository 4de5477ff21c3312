"""Options of a JVM in service.json: what is refused, and which only look odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.spec import ConfigurationError, java_options
from support.services import python_service, read

JAVA = {"processor_type": "java", "processor_path": "a.jar", "processor_mainclass": "a.B"}


@pytest.mark.parametrize(
    "option",
    [
        "-Xmx2g",
        "-XX:+UseSerialGC",
        "-Dname=two words - and a dash",
        "-XX:OnOutOfMemoryError=kill -9 %p",
        "--add-opens=java.base/java.lang=ALL-UNNAMED",
        "-agentlib:jdwp=transport=dt_socket,server=y",
        "-ea",
    ],
)
def test_an_option_of_the_jvm_is_taken(option: str) -> None:
    assert not java_options.what_is_wrong(option)


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("Xmx2g", "begins with -"),
        ("-Xmx2g -Xms1g", "an item of its own"),
        ("-Xmx2g ", "an item of its own"),
        ("-XX:+UseSerialGC -Xmx1g", "an item of its own"),
        ("-cp", "the processor's package"),
        ("-cp lib/*", "the processor's package"),
        ("--class-path=lib", "the processor's package"),
        ("-Djava.class.path=lib", "the processor's package"),
        ("-jar", "of the java command"),
        ("-version", "of the java command"),
        ("--add-opens", "--add-opens=..."),
        ("--add-opens java.base/java.lang", "--add-opens=..."),
    ],
)
def test_nonsense_is_refused_with_the_reason(option: str, why: str) -> None:
    assert why in java_options.what_is_wrong(option)


def test_a_refused_option_is_named_with_its_place(tmp_path: Path) -> None:
    content = {"name": "a", **JAVA, "metadata": {"java_opts": ["-ea", "fast"]}}
    with pytest.raises(ConfigurationError, match=r'java_opts\[1\].*"fast": expected an option that begins'):
        read(tmp_path, content)


def test_options_of_a_jvm_that_isnt_there_are_a_warning(tmp_path: Path) -> None:
    loaded = read(tmp_path, python_service(metadata={"java_opts": ["-ea"]}))
    assert [one.message for one in loaded.warnings] == ["no effect: only Java processors and pmml have a JVM"]
