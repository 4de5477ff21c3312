"""The command line as a contract: options, environment variables, exit statuses, one clear message."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from eas_engine import service
from eas_engine.cli.app import app
from eas_engine.errors import ArtifactError, ConfigurationError, ProcessorError
from eas_engine.options import ServeOptions

SERVICE = {"name": "echo", "processor_type": "python", "processor_entry": "app.py"}


def eas(*arguments: str, **environment: str) -> Result:
    clean = {name: None for name in os.environ if name.startswith("EAS_")}
    result: Result = CliRunner().invoke(
        app, list(arguments), env={**clean, **environment}, prog_name="eas-engine"
    )
    return result


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    """What ``service.serve`` was called with."""
    calls: list[ServeOptions] = []

    def serve(options: ServeOptions) -> int:
        calls.append(options)
        return 0

    monkeypatch.setattr(service, "serve", serve)
    return calls


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "service.json"
    path.write_text(json.dumps(SERVICE))
    (tmp_path / "app.py").write_text("")
    return path


def test_without_a_command_it_serves(served: list[ServeOptions]) -> None:
    assert eas("--config", "s.json").exit_code == 0
    assert eas("--config=s.json").exit_code == 0
    assert eas("serve", "--config", "s.json").exit_code == 0
    assert eas(EAS_CONFIG="s.json").exit_code == 0
    assert served == [ServeOptions(config=Path("s.json"))] * 4


def test_the_file_may_be_an_argument(served: list[ServeOptions]) -> None:
    assert eas("s.json").exit_code == 0
    assert eas("serve", "s.json").exit_code == 0
    assert eas("s.json", "--port", "0", EAS_CONFIG="other.json").exit_code == 0
    assert eas("serve", "s.json", "--config", "s.json").exit_code == 0
    assert [options.config for options in served] == [Path("s.json")] * 4
    assert served[2].port == 0
    both = eas("serve", "s.json", "--config", "t.json")
    assert both.exit_code == 2
    assert "s.json and --config t.json" in both.stderr


@pytest.mark.parametrize("command", ["check", "test", "serve"])
def test_without_a_file_it_says_how_to_name_one(command: str) -> None:
    result = eas(command, COLUMNS="200")
    assert result.exit_code == 2
    assert f"eas-engine {command} --config FILE (env var: EAS_CONFIG), or just FILE" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "abc"], "'abc' isn't a whole number"),
        (["--port", "1.5"], "'1.5' isn't a whole number"),
        (["--port", "65536"], "65536 is more than 65535"),
        (["--port", "-1"], "-1 is less than 0"),
        (["--log-format", "xml"], "'xml' is not one of 'console', 'json'"),
    ],
)
def test_a_wrong_value_is_explained_plainly(arguments: list[str], message: str) -> None:
    result = eas("s.json", *arguments, COLUMNS="200")
    assert result.exit_code == 2
    assert message in result.stderr
    assert arguments[0] in result.stderr
    for jargon in ("Input should", "parse string", "Value error"):
        assert jargon not in result.stderr


def test_a_variable_that_is_neither_true_nor_false() -> None:
    result = eas("s.json", EAS_STRICT="maybe", COLUMNS="200")
    assert result.exit_code == 2
    assert "'maybe' is neither true nor false" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["check"],
        ["test"],
        ["status"],
        ["list"],
        ["cache"],
        ["cache", "prune"],
        ["crash"],
        ["crash", "show"],
        ["update"],
        ["scale"],
        ["replace"],
        ["rollback"],
        ["operations"],
        ["events"],
        ["logs"],
    ],
)
def test_help_speaks_of_no_types(command: list[str]) -> None:
    shown = eas(*command, "--help", COLUMNS="80").stdout
    for odd in ("<bool>", "<str>", "<int", "<path>", "[["):
        assert odd not in shown


def test_help_says_how_to_start() -> None:
    shown = " ".join(eas("--help", COLUMNS="80").stdout.split())
    assert "Usage: eas-engine --config FILE | FILE | COMMAND" in shown
    assert "eas-engine --config service.json" in shown
    assert "eas-engine serve --help" in shown


def test_the_script_for_completion_comes_out() -> None:
    done = run("from eas_engine.cli import main; main()", _EAS_ENGINE_COMPLETE="source_bash")
    assert "complete -o default -F _eas_engine_completion eas-engine" in done.stdout


def test_every_option_of_serve(served: list[ServeOptions]) -> None:
    flags = [
        "--config",
        "s.json",
        "--host",
        "::1",
        "--port",
        "0",
        "--admin-host",
        "0.0.0.0",
        "--admin-port",
        "1",
    ]
    flags += ["--state-dir", "/s", "-D", "a=1", "-D", "b=2 c", "--strict", "--log-format", "json", "--debug"]
    assert eas(*flags, "--any-path", "--no-announce", "--access-log", "-").exit_code == 0
    assert served == [
        ServeOptions(
            config=Path("s.json"),
            host="::1",
            port=0,
            admin_host="0.0.0.0",
            admin_port=1,
            state_dir=Path("/s"),
            overrides=("a=1", "b=2 c"),
            strict=True,
            log_format="json",
            debug=True,
            any_path=True,
            access_log="-",
            announce=False,
        )
    ]


def test_every_option_of_serve_by_the_environment(served: list[ServeOptions]) -> None:
    environment = {
        "EAS_CONFIG": "s.json",
        "EAS_HOST": "::1",
        "EAS_PORT": "0",
        "EAS_ADMIN_HOST": "0.0.0.0",
        "EAS_ADMIN_PORT": "1",
        "EAS_STATE_DIR": "/s",
        "EAS_DEFINE": "a=1 b=2",
        "EAS_STRICT": "1",
        "EAS_LOG_FORMAT": "json",
        "EAS_DEBUG": "true",
        "EAS_ACCESS_LOG": "/l",
    }
    assert eas(**environment).exit_code == 0
    assert eas("--port", "5", **environment).exit_code == 0
    by_environment, by_both = served
    assert by_environment.overrides == ("a=1", "b=2")
    assert (by_environment.port, by_both.port) == (0, 5)
    assert by_environment.strict
    assert by_environment.debug
    assert by_environment.access_log == "/l"
    assert by_environment.state_dir == Path("/s")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "s.json", "--port", "65536"],
        ["--config", "s.json", "--port", "-1"],
        ["--config", "s.json", "--admin-port", "x"],
        ["--config", "s.json", "--log-format", "xml"],
        ["--config", "s.json", "--bogus"],
        ["serve"],
        ["check"],
        ["bogus"],
        ["test", "--config", "s.json", "--text", "x", "--count", "0"],
    ],
)
def test_wrong_flags_are_exit_2(served: list[ServeOptions], arguments: list[str]) -> None:
    result = eas(*arguments)
    assert result.exit_code == 2
    assert result.stderr
    assert "Traceback" not in result.stderr
    assert not served


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError("the file\nis wrong"), 2),
        (ArtifactError("no model"), 3),
        (ProcessorError("initialize refused"), 4),
    ],
)
def test_a_start_that_fails_says_so_in_one_message(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setattr(service, "serve", failing(error))
    result = eas("--config", "s.json")
    assert result.exit_code == status
    assert result.stderr == f"eas-engine: {error}\n"
    assert result.stdout == ""
    debugged = eas("--config", "s.json", "--debug")
    assert debugged.exception is error  # python prints the trace


def failing(error: BaseException) -> Callable[[ServeOptions], int]:
    def serve(_options: ServeOptions) -> int:
        raise error

    return serve


def test_a_start_error_of_a_task_is_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = ExceptionGroup("b", [ProcessorError("initialize refused")])
    monkeypatch.setattr(service, "serve", failing(ExceptionGroup("a", [ValueError("x"), inner])))
    result = eas("--config", "s.json")
    assert (result.exit_code, result.stderr) == (4, "eas-engine: initialize refused\n")


def test_a_bug_of_ours_is_exit_1_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "serve", failing(KeyError("oops")))
    result = eas("--config", "s.json")
    assert result.exit_code == 1
    assert "KeyError: 'oops'" in result.stderr
    assert "--debug" in result.stderr


def test_ctrl_c_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "serve", failing(KeyboardInterrupt()))
    assert eas("--config", "s.json").exit_code == 130


def test_the_exit_status_of_serve_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "serve", lambda _options: 7)
    assert eas("--config", "s.json").exit_code == 7


def test_version_and_help() -> None:
    assert re.fullmatch(r"eas-engine 0\.\S+ \((interpreted|compiled)\)\n", eas("--version").stdout)
    for arguments in ([], ["--help"], ["-h"]):
        result = eas(*arguments)
        assert result.exit_code == 0
        for command in ("serve", "check", "schema", "test", "status", "list", "update", "scale", "logs"):
            assert command in result.stdout
        for alias in ("modify", "showworkers", "deleteworkers", "desc"):
            assert alias not in result.stdout
    assert "any-path" not in eas("serve", "--help").stdout


def test_check_explains_a_service(config: Path) -> None:
    result = eas("check", "--config", str(config), "-D", "metadata.rpc.max_que_size=1", "--all")
    assert result.exit_code == 0
    assert "did you mean" in result.stdout
    assert "can be started here" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("metadata.rpc.keepalive")]
    assert "5000" in line
    assert "default" in line


def test_check_shows_what_is_set_and_all_on_request(config: Path) -> None:
    def table(*flags: str) -> tuple[list[str], str]:
        result = eas("check", str(config), "-D", "metadata.rpc.keepalive=70", *flags)
        lines = result.stdout.splitlines()
        rows = [line.split()[0] for line in lines[1 : lines.index("")] if "--all" not in line]
        return rows, result.stdout

    few, shown = table()
    everything, _ = table("--all")
    assert few == ["name", "processor_entry", "processor_type", "metadata.rpc.keepalive"]
    assert set(few) < set(everything)
    assert f"{len(everything) - len(few)} more are at their defaults; --all shows them" in shown


def test_check_for_machines(config: Path) -> None:
    result = eas("check", "--config", str(config), "--json")
    found = json.loads(result.stdout)
    assert found["startable"]
    assert found["name"] == "echo"
    assert {"path", "value", "origin", "effect", "here"} <= found["parameters"][0].keys()


def test_check_looks_whether_processor_and_model_are_there(config: Path) -> None:
    config.write_text(json.dumps(SERVICE | {"model_path": "model"}, indent=0))
    result = eas("check", "--config", str(config))
    assert result.exit_code == 2
    assert "can't be started here" in result.stdout
    assert f"line 5: model_path: {config.parent / 'model'} is not there" in result.stdout
    config.with_name("app.py").unlink()
    found = json.loads(eas("check", "--config", str(config), "--json").stdout)
    assert not found["startable"]
    (refusal,) = found["refusals"]
    assert (refusal["path"], refusal["line"]) == ("processor_entry", 4)
    assert "app.py is not there" in refusal["message"]


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_check_says_no_with_exit_2(config: Path, as_json: list[str]) -> None:
    config.write_text('{"name": "echo",\n"token": "Tell-Nobody",\n"metadata": {"rpc.keepalive": "soon"}}')
    result = eas("check", "--config", str(config), *as_json)
    assert result.exit_code == 2
    assert "keepalive" in result.stdout
    assert "Tell-Nobody" not in result.output
    if as_json:
        assert {error["line"] for error in json.loads(result.stdout)["errors"]} >= {3}
    else:
        assert "line 3: metadata.rpc.keepalive" in result.stdout
    strict = eas("check", "--config", str(config), "--strict", *as_json)
    assert strict.exit_code == 2


def test_check_shows_no_markup_and_no_control_characters(config: Path) -> None:
    config.write_text(json.dumps(SERVICE | {"model_config": "[red]a\x1b[2Jb[/red]"}))
    result = eas("check", "--config", str(config))
    assert "[red]a" in result.stdout
    assert "\x1b" not in result.stdout


def test_the_schema_is_json() -> None:
    result = eas("schema")
    assert result.exit_code == 0
    assert "metadata" in json.loads(result.stdout)["properties"]


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


LOADED = "import sys\nfrom eas_engine.cli import main\ntry: main()\nfinally: print('\\n'.join(sys.modules))"


def loaded(*words: str) -> list[str]:
    """The modules that a command has imported at its end."""
    return run(LOADED, *words).stdout.splitlines()


def test_serve_does_not_pay_for_what_only_people_need(tmp_path: Path) -> None:
    done = run(LOADED, "--config", str(tmp_path / "missing.json"))
    assert "no such file" in done.stderr
    assert done.returncode == 2
    modules = done.stdout.splitlines()
    assert "eas_engine.service" in modules
    dear = {
        "rich",
        "pygments",
        "typer",
        "click",
        "prometheus_client",
        "starlette",
        "uvicorn",
        "psutil",
        "numpy",
    }
    dear |= {"pynvml", "cramjam", "grpc", "http.client", "tarfile", "configparser", "xml"}
    assert not dear & {*modules, *(name.partition(".")[0] for name in modules)}
    assert not [name for name in modules if name.startswith(("eas_engine.cli.app", "eas_processors"))]
    assert len(modules) < 522, (
        "each costs a start half a millisecond and 40 KB: is it needed before a request?"
    )


def test_serving_does_not_wait_for_the_other_commands(tmp_path: Path) -> None:
    modules = loaded("serve", "--config", str(tmp_path / "missing.json"), "--port", "none")
    assert "eas_engine.cli.app" in modules
    for module in ("machine", "running", "looking", "eascmd", "engines", "autoscale.commands"):
        assert f"eas_engine.cli.{module}" not in modules
    assert "eas_engine.cli.running" in loaded("stop", "--help")


def complete(line: str) -> list[str]:
    words = line.split(" ")
    variables = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_EAS_ENGINE_COMPLETE": "complete_bash",
    }
    done = run("from eas_engine.cli import main; main()", **variables)
    return done.stdout.split()


def test_the_shell_completes_commands_and_options() -> None:
    assert "status" in complete("eas-engine st")
    assert "--admin-port" in complete("eas-engine --admin")  # as serve's
    assert "--admin-port" in complete("eas-engine serve --admin")
    assert "--count" in complete("eas-engine test --c")
    assert "rollback" in complete("eas-engine ro")
    assert "--canary" in complete("eas-engine update --c")


def test_a_reader_that_leaves_early_is_no_error(config: Path) -> None:
    code = "from eas_engine.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_script_starts_it_for_any_path(served: list[ServeOptions]) -> None:
    """``python app.py`` starts the engine so (see allspark)."""
    assert eas("serve", "--config", "s.json", "--any-path", "--admin-port", "0").exit_code == 0
    assert served[0].any_path


def test_a_script_on_a_taken_port_is_told_what_it_can_change(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ["--config", str(config), "--host", "127.0.0.1", "--port", port]
        flags += ["--state-dir", str(tmp_path / "state")]
        code = "from eas_engine.cli import main; main()"
        by_hand, served = run(code, *flags, "--any-path"), run(code, *flags)
    assert (by_hand.returncode, served.returncode) == (2, 2)
    assert 'EAS_PORT, or with endpoint="127.0.0.1:8081" in the code' in by_hand.stderr
    assert "--port" not in by_hand.stderr
    assert "--port" in served.stderr


def test_a_script_whose_admin_port_is_taken_is_told_what_it_can_change(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ["--config", str(config), "--host", "127.0.0.1", "--port", "0", "--admin-port", port]
        flags += ["--state-dir", str(tmp_path / "state")]
        code = "from eas_engine.cli import main; main()"
        by_hand, served = run(code, *flags, "--any-path"), run(code, *flags)
    assert (by_hand.returncode, served.returncode) == (2, 2)
    assert "choose another with EAS_ADMIN_PORT" in by_hand.stderr
    assert "--admin-port" not in by_hand.stderr
    assert "choose another with --admin-port" in served.stderr
