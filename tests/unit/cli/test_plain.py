"""Plain words of ``serve`` are read without typer, and as typer reads them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

from eas_engine import service
from eas_engine.cli.app import app
from eas_engine.cli.plain import SWITCHES, VALUES, plain
from eas_engine.options import ServeOptions

CLEAN = {name: None for name in os.environ if name.startswith("EAS_")}


@pytest.fixture(scope="module")
def served() -> Iterator[list[ServeOptions]]:
    """What ``service.serve`` was called with."""
    calls: list[ServeOptions] = []

    def serve(options: ServeOptions) -> int:
        calls.append(options)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "serve", serve)
        yield calls


def by_typer(served: list[ServeOptions], words: list[str]) -> ServeOptions | None:
    """None: it was refused."""
    served.clear()
    CliRunner().invoke(app, words, env=CLEAN, prog_name="eas-engine")
    return served[0] if served else None


OPTIONS = st.sampled_from(
    [*VALUES, *SWITCHES, "-D", "--define", "--settings", "--conf", "-p", "--", "-", "-h"]
)
CONTENTS = st.sampled_from(
    [
        "a.json",
        "b",
        "0",
        "8080",
        "65536",
        "-1",
        "x=y",
        "",
        "console",
        "json",
        "JSON",
        "127.0.0.1",
        "serve",
        "50%",
    ]
)
PAIRS = st.one_of(
    st.tuples(OPTIONS, CONTENTS),
    st.tuples(OPTIONS),
    st.tuples(CONTENTS),
    st.builds(lambda option, content: (f"{option}={content}",), OPTIONS, CONTENTS),
)
WORDS = st.builds(
    lambda first, config, rest: [*first, *config, *(word for pair in rest for word in pair)],
    st.sampled_from([(), ("serve",)]),
    st.sampled_from([(), ("--config", "a.json"), ("a.json",), ("--config=a.json",)]),
    st.lists(PAIRS, max_size=4),
)


@given(WORDS)
def test_what_is_plain_is_what_typer_would_have_read(served: list[ServeOptions], words: list[str]) -> None:
    read = plain(words, {})

    if read is not None:
        assert read == by_typer(served, words)


def test_each_option_alone_is_plain(served: list[ServeOptions]) -> None:
    values = {"port": "1", "admin_port": "2", "log_format": "json"}
    for option, (name, _) in VALUES.items():
        words = ["serve", *([] if name == "config" else ["a.json"]), option, values.get(name, "some")]
        read = plain(words, {})
        assert read is not None, words
        assert read == by_typer(served, words)
    for option in SWITCHES:
        assert plain(["a.json", option], {}) == by_typer(served, ["a.json", option])
    assert plain(["a.json", "-D", "a=1", "--define", "b=2"], {}) == ServeOptions(
        config=Path("a.json"), overrides=("a=1", "b=2")
    )


@pytest.mark.parametrize(
    "line",
    [
        *("", "--help", "serve", "status", "test a.json", "a.json --nonsense", "a.json b.json"),
        *("--config", "a.json --port", "a.json --port x", "a.json --port 65536", "a.json --fresh=1"),
        *(
            "a.json --config a.json",
            "a.json --port 1 --port 2",
            "a.json -Da=1",
            "a.json -D=a",
            "a.json --po 1",
        ),
        *(
            "a.json --settings s.toml",
            "a.json -- b",
            "--version",
            "a.json --log-format JSON",
            "a.json --host=",
        ),
    ],
)
def test_the_rest_is_left_to_typer(line: str) -> None:
    assert plain(line.split(), {}) is None


def test_variables_of_ours_and_engine_settings_are_left_to_typer(tmp_path: Path) -> None:
    words = ["a.json", "--state-dir", str(tmp_path)]
    assert plain(words, {"HOME": "/"}) is not None
    assert plain(words, {"EAS_PORT": "1"}) is None
    assert plain(words, {"_EAS_ENGINE_COMPLETE": "complete_bash"}) is None
    (tmp_path / "eas-engine.toml").write_text("")
    assert plain(words, {}) is None


def test_no_option_of_serve_is_forgotten() -> None:
    serve = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {
        word for one in serve.params for word in (*one.opts, *one.secondary_opts) if word.startswith("-")
    }
    left = {"-D", "--define", "--settings"}

    assert options == {*VALUES, *SWITCHES, *left}
    fields = {one.name for one in dataclasses.fields(ServeOptions)}
    read = {name for name, _ in VALUES.values()} | {name for name, _ in SWITCHES.values()}
    assert fields - read == {"overrides", "settings"}
