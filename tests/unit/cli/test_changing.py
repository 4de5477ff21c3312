"""Commands that change a running service: what they ask, what they print, how they end."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from eas_engine.cli.engines import who
from eas_engine.errors import ArtifactError
from eas_engine.operations import (
    Change,
    Drain,
    Effect,
    OperationState,
    Plan,
    Promote,
    RefusedError,
    Replace,
    Restart,
    Rollback,
    Scale,
    Start,
    Stop,
    Update,
    Version,
)
from eas_engine.updates.instances import EMPTY
from support.fleet import EPOCH, Fleet
from support.running import eas, engine

BY = who()
ROLLING, DONE, FAILED = OperationState.ROLLING, OperationState.DONE, OperationState.FAILED


def test_it_is_known_who_asks() -> None:
    assert who() == f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["scale", "4"], Scale(by=BY, instances=4)),
        (["scale", "digits", "4"], Scale(by=BY, instances=4)),
        (["scale", "0", "--name", "digits"], Scale(by=BY, instances=0)),
        (["restart"], Restart(by=BY)),
        (["restart", "digits"], Restart(by=BY)),
        (["stop"], Stop(by=BY)),
        (["start"], Start(by=BY)),
        (["drain", "--name", "digits"], Drain(by=BY)),
        (["replace", "digits-0"], Replace(by=BY, instance="digits-0")),
        (["replace", "digits", "a ?&%"], Replace(by=BY, instance="a ?&%")),
        (["rollback"], Rollback(by=BY)),
        (["rollback", "digits"], Rollback(by=BY)),
        (["rollback", "3"], Rollback(by=BY, version=3)),
        (["rollback", "3", "--new-files"], Rollback(by=BY, version=3, new_files=True)),
        (["promote"], Promote(by=BY)),
        (["version", "digits", "3"], Rollback(by=BY, version=3)),
        (["dw", "digits", "digits-0"], Replace(by=BY, instance="digits-0")),
        (["deleteworkers", "digits", "digits-0,"], Replace(by=BY, instance="digits-0")),
        (["modify", "digits", "-Dmetadata.instance=10"], Update(by=BY, overrides=("metadata.instance=10",))),
        (["update", "-D", "a=1", "-D", "b= x&y"], Update(by=BY, overrides=("a=1", "b= x&y"))),
    ],
)
def test_what_is_asked_for(tmp_path: Path, arguments: list[str], asked: object) -> None:
    fleet = Fleet()
    with engine(tmp_path, fleet):
        done = eas(tmp_path, *arguments)
    assert done.exit_code == 0, done.output
    assert fleet.asked == [asked]
    assert done.stdout.startswith("digits: ")
    assert done.stdout.count("\n") == 1


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "service.json"
    path.write_text('{"name": "höhe"}')
    return path


@pytest.mark.parametrize("command", [["update", "FILE"], ["modify", "digits", "-s", "FILE"]])
def test_update_sends_the_file_and_where_it_lies(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    fleet = Fleet()
    monkeypatch.chdir(tmp_path)
    with engine(tmp_path / "state", fleet):
        done = eas(tmp_path / "state", *(one.replace("FILE", "service.json") for one in command))
    assert done.exit_code == 0, done.output
    assert fleet.asked == [Update(by=BY, text='{"name": "höhe"}', source=str(config))]


def test_an_empty_file_is_told_by_its_name(tmp_path: Path, config: Path) -> None:
    config.write_text(" \n")
    fleet = Fleet()
    with engine(tmp_path, fleet):
        done = eas(tmp_path, "update", str(config))
    assert done.exit_code == 2
    assert f"{config}: is empty: expected the text of a service.json" in done.stderr
    assert fleet.asked == []


def test_every_option_of_update(tmp_path: Path, config: Path) -> None:
    fleet = Fleet()
    with engine(tmp_path, fleet):
        flags = ["--strict", "--canary", "10%", "--slo", "errors=1%,p99=2x", "-D", "a=1"]
        assert eas(tmp_path, "update", str(config), *flags).exit_code == 0
        assert eas(tmp_path, "update", str(config), "--shadow", "5%").exit_code == 0
    first, second = fleet.asked
    assert isinstance(first, Update)
    assert isinstance(second, Update)
    assert (first.strict, first.canary, first.objective, first.overrides) == (
        True, 0.1, "errors=1%,p99=2x", ("a=1",),
    )  # fmt: skip
    assert (second.strict, second.canary, second.shadow) == (False, None, 0.05)


def test_a_long_list_of_overrides_is_told_where_to_go(tmp_path: Path) -> None:
    with engine(tmp_path, Fleet()):
        done = eas(tmp_path, "update", "-D", f"a={'x' * 50_000}")
    assert done.exit_code == 2
    assert "write it into the file" in done.stderr


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("missing.json", "no such file"),
        ("empty.json", "is empty: expected the text of a service.json"),
        ("huge.json", "larger than 1 MiB"),
    ],
)
def test_files_that_can_not_be(tmp_path: Path, file: str, said: str) -> None:
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "huge.json").write_text("{" * ((1 << 20) + 1))
    fleet = Fleet()
    with engine(tmp_path, fleet):
        done = eas(tmp_path, "update", str(tmp_path / file))
    assert (done.exit_code, fleet.asked) == (2, [])
    assert said in done.stderr


STEPS: list[dict[str, Any]] = [
    {"fetching": {"model.tar.gz": (10 << 20, 100 << 20), "app.py": (5, None)}},
    {"fetching": {"model.tar.gz": (52 << 20, 100 << 20)}},
    {"state": ROLLING, "fetching": {}, "wanted": 4, "ready": 4},
    {"state": ROLLING},
    {"updated": 1},
    {"updated": 4},
]


def test_in_a_pipe_each_step_is_a_line(tmp_path: Path, config: Path) -> None:
    done_at = {"state": DONE, "ended": EPOCH + 12.34, "version": 5}
    fleet = Fleet(script={"update": [*STEPS, done_at]})
    with engine(tmp_path, fleet):
        done = eas(tmp_path, "update", str(config))
    assert done.exit_code == 0
    assert done.stdout == "digits: version 5 serves, 4 instances, 12.3 s\n"
    assert done.stderr.splitlines() == [
        "preparing",
        "preparing: model.tar.gz: 10% of 100.0 MiB",
        "preparing: app.py: fetching",
        "preparing: model.tar.gz: 50% of 100.0 MiB",
        "rolling: 0 of 4 instances new, 4 ready",
        "rolling: 1 of 4 instances new, 4 ready",
        "rolling: 4 of 4 instances new, 4 ready",
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"effect": Effect.NOTHING}, "digits: nothing to do: it is so already\n"),
        ({"effect": Effect.AT_ONCE}, "digits: version 2 serves, at once: no instance was touched\n"),
        ({"reason": "with warnings"}, "digits: version 2 serves, 1 instance (with warnings)\n"),
    ],
)
def test_how_an_update_ends_well(tmp_path: Path, config: Path, fields: dict[str, Any], said: str) -> None:
    with engine(tmp_path, Fleet(script={"update": [{"state": DONE, **fields}]})):
        done = eas(tmp_path, "update", str(config))
    assert (done.exit_code, done.stdout) == (0, said)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": FAILED, "reason": "digits-1: initialize: no model"}, "failed: digits-1: initialize: no"),
        ({"state": FAILED}, "update failed: it says no reason"),
        (
            {"state": OperationState.SUPERSEDED, "reason": "version 3"},
            "a later change took its place: version 3",
        ),
        (
            {"state": FAILED, "reason": "x", "problems": ({"path": "a", "line": 3, "message": "b"},)},
            "update failed: x\n  line 3: a: b",
        ),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_an_update_that_fails_is_exit_1(
    tmp_path: Path, config: Path, flags: list[str], fields: dict[str, Any], said: str
) -> None:
    with engine(tmp_path, Fleet(script={"update": [{"state": ROLLING}, fields]})):
        done = eas(tmp_path, "update", str(config), *flags)
    assert done.exit_code == 1
    assert f"eas-engine: update {said.removeprefix('update ')}" in done.stderr or said in done.stderr
    assert done.stdout == "" if not flags else json.loads(done.stdout)["over"]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            RefusedError(
                "service.json: 2 problems\n  line 3: name: is missing",
                problems=(
                    {"path": "name", "line": 3, "message": "is missing"},
                    {"path": "", "line": None, "message": "is odd"},
                ),
            ),
            2,
            "eas-engine: service.json: 2 problems\n  line 3: name: is missing\n  is odd\n",
        ),
        (RefusedError("an update is under way", conflict=True), 1, "eas-engine: an update is under way\n"),
        (ArtifactError("no model"), 2, "eas-engine: no model\n"),
    ],
)
def test_a_change_that_is_refused(
    tmp_path: Path, config: Path, error: Exception, status: int, said: str
) -> None:
    fleet = Fleet()
    fleet.refusing = error
    with engine(tmp_path, fleet):
        for command in (["update", str(config)], ["update", str(config), "--dry-run"]):
            done = eas(tmp_path, *command)
            assert (done.exit_code, done.stdout, done.stderr) == (status, "", said)


def test_without_waiting_it_says_how_to_look(tmp_path: Path) -> None:
    with engine(tmp_path, Fleet(script={"restart": [{"state": ROLLING}] * 9})):
        done = eas(tmp_path, "restart", "--no-wait")
        assert done.exit_code == 0
        assert done.stdout == (
            "digits: restart was accepted; "
            f"`eas-engine operations 1 --wait --name digits --state-dir {tmp_path}` shows it\n"
        )
        assert json.loads(eas(tmp_path, "restart", "--no-wait", "--json").stdout)["state"] == "preparing"


def test_an_operation_can_be_watched_later(tmp_path: Path) -> None:
    fleet = Fleet(script={"restart": [*STEPS, {"state": FAILED, "reason": "no"}]})
    with engine(tmp_path, fleet):
        assert eas(tmp_path, "operations").stdout == "none\n"
        eas(tmp_path, "restart", "--no-wait")
        done = eas(tmp_path, "operations", "1", "--wait", "--name", "digits")
        assert (done.exit_code, "restart failed: no" in done.stderr) == (1, True)
        (listed,) = json.loads(eas(tmp_path, "operations", "--json").stdout)
        assert listed["state"] == "failed"
        shown = eas(tmp_path, "operations").stdout.splitlines()
        assert shown[0].split()[:3] == ["number", "kind", "state"]
        assert shown[1].split()[:3] == ["1", "restart", "failed"]
        missing = eas(tmp_path, "operations", "7")
        assert (missing.exit_code, missing.stderr) == (2, "eas-engine: no operation 7: there is 1\n")


def test_a_canary_says_what_can_be_done_with_it(tmp_path: Path, config: Path) -> None:
    steps: list[dict[str, Any]] = [{"state": ROLLING, "version": 6}, {"state": OperationState.TRYING}]
    with engine(tmp_path, Fleet(script={"update": steps}), workspace="red"):
        done = eas(tmp_path, "update", str(config), "--canary", "10%", "--workspace-id", "red")
    assert done.exit_code == 2  # the fake is of no workspace
    with engine(tmp_path, Fleet(workspace="red", script={"update": steps}), workspace="red"):
        done = eas(tmp_path, "update", str(config), "--canary", "10%", "--workspace-id", "red")
    assert done.exit_code == 0
    which = f"--name digits --workspace-id red --state-dir {tmp_path}"
    assert done.stdout.splitlines() == [
        "digits: version 6 is tried out beside the service",
        f"  look             eas-engine canary {which}",
        f"  take it for all  eas-engine promote {which}",
        f"  drop it          eas-engine rollback {which}",
    ]


def test_a_service_of_another_workspace_is_not_touched(tmp_path: Path) -> None:
    fleet = Fleet(workspace="red")
    with engine(tmp_path, fleet, workspace="red"):
        for command in (["stop"], ["replace", "digits-0"], ["update", "-D", "a=1"], ["stop", "digits"]):
            refused = eas(tmp_path, *command)
            assert refused.exit_code == 2
            assert "digits is of workspace red; --workspace-id red says that it is meant" in refused.stderr
        assert eas(tmp_path, "stop", "--workspace-id", "blue").exit_code == 1
        assert fleet.asked == []
        assert eas(tmp_path, "instances").exit_code == 0
        assert eas(tmp_path, "stop", "--workspace-id", "red").exit_code == 0


def test_crashes_of_another_workspace_are_not_cleared(tmp_path: Path) -> None:
    fleet = Fleet(workspace="red")
    with engine(tmp_path, fleet, workspace="red"):
        refused = eas(tmp_path, "crash", "clear")
        assert (refused.exit_code, "--workspace-id red says" in refused.stderr) == (2, True)
        nothing = eas(tmp_path, "crash", "clear", "--workspace-id", "red")
        assert (nothing.exit_code, "no crash was kept" in nothing.stderr) == (1, True)
        assert eas(tmp_path, "crash", "show").exit_code == 0


def test_which_of_several(tmp_path: Path) -> None:
    one, two = Fleet(), Fleet()
    with engine(tmp_path, one, "one"), engine(tmp_path, two, "two"):
        unclear = eas(tmp_path, "stop")
        assert (unclear.exit_code, "say which with --name" in unclear.stderr) == (2, True)
        assert eas(tmp_path, "stop", "two").exit_code == 0
        assert eas(tmp_path, "stop", "three").exit_code == 1
        both = eas(tmp_path, "stop", "two", "--name", "one")
        assert (both.exit_code, "which of them?" in both.stderr) == (2, True)
    assert (one.asked, two.asked) == ([], [Stop(by=BY)])


def test_several_instances_are_replaced_one_after_the_other(tmp_path: Path) -> None:
    fleet = Fleet()
    with engine(tmp_path, fleet):
        assert eas(tmp_path, "replace", "digits-0,digits-1").exit_code == 0
    assert fleet.asked == [Replace(by=BY, instance="digits-0"), Replace(by=BY, instance="digits-1")]


PLAN = Plan(
    effect=Effect.ROLLOUT,
    changes=(
        Change(path="metadata.rpc.keepalive", before=5000, after=None, effect=Effect.AT_ONCE),
        Change(path="model_path", before="a", after={"x": "ü"}, effect=Effect.ROLLOUT),
    ),
    notes=("the model at that address is another one",),
    warnings=("metadata.cpu: more than there is",),
)


def test_a_dry_run_says_what_it_would_cost(tmp_path: Path, config: Path) -> None:
    fleet = Fleet()
    fleet.planned = PLAN
    with engine(tmp_path, fleet):
        done = eas(tmp_path, "update", str(config), "--dry-run")
        assert eas(tmp_path, "operations").stdout == "none\n"
        plan = json.loads(eas(tmp_path, "update", str(config), "--dry-run", "--json").stdout)
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()[:3]] == [
        ["parameter", "before", "after", "costs"],
        ["metadata.rpc.keepalive", "5000", "-", "at", "once"],
        ["model_path", "a", '{"x":', '"ü"}', "rollout"],
    ]
    assert done.stdout.splitlines()[3:] == [
        "the model at that address is another one",
        "warning: metadata.cpu: more than there is",
        "every instance is replaced, a few at a time",
    ]
    assert plan["effect"] == "rollout"


def test_a_dry_run_of_what_no_update_can_do_is_exit_2(tmp_path: Path, config: Path) -> None:
    fleet = Fleet()
    fleet.planned = Plan(effect=Effect.ENGINE)
    with engine(tmp_path, fleet):
        done = eas(tmp_path, "update", str(config), "--dry-run")
    assert done.exit_code == 2
    assert "takes a new start of the engine: an update can't do it" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["update"], "update to what? eas-engine update FILE, or -D KEY=VALUE"),
        (["scale"], "how many instances?"),
        (["scale", "many"], "'many' isn't a whole number"),
        (["replace"], "which instance?"),
        (["replace", "digits", ","], "which instance?"),
        (["start", "service.json"], "eas-engine serve service.json starts an engine"),
        (["stop", "a", "b"], "what is 'b'?"),
        (["version", "digits"], "'digits' isn't a whole number"),
    ],
)
def test_wrong_words_are_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    fleet = Fleet()
    with engine(tmp_path, fleet):
        done = eas(tmp_path, *arguments)
    assert (done.exit_code, fleet.asked) == (2, [])
    assert said in done.stderr


@pytest.mark.parametrize("arguments", [["update", "-D", "a=1", "--canary", "10"], ["scale", "1000001"]])
def test_what_the_engine_can_not_read_is_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    with engine(tmp_path, Fleet()):
        done = eas(tmp_path, *arguments)
    assert done.exit_code == 2
    assert "isn't" in done.stderr


def test_who_leaves_is_not_counted_as_ready_of_those_that_are_wanted(tmp_path: Path) -> None:
    """It said "142 of 1 instance ready"."""
    steps: list[dict[str, Any]] = [
        {"wanted": 1, "ready": 142},
        {"wanted": 2, "ready": 3, "warnings": ("metadata.instance: rather many",)},
        {"state": DONE},
    ]
    with engine(tmp_path, Fleet(script={"scale": steps})):
        done = eas(tmp_path, "scale", "1")
    assert done.stderr.splitlines()[1:] == [
        "rolling: 142 instances ready, 1 wanted",
        "eas-engine: warning: metadata.instance: rather many",
        "rolling: 3 instances ready, 2 wanted",
    ]


def test_a_rollback_that_dropped_something_says_what_serves(tmp_path: Path) -> None:
    fleet = Fleet(script={"rollback": [{"state": DONE, "version": None, "wanted": 4}]})
    fleet.held = [
        Version(number=3, time=EPOCH, source="", digest="", kind="update", by="", state="current"),
        Version(number=4, time=EPOCH, source="", digest="", kind="update", by="", state="failed"),
    ]
    with engine(tmp_path, fleet):
        done = eas(tmp_path, "rollback")
    assert done.stdout == "digits: version 3 serves, as before, 4 instances\n"


def test_a_drained_service_is_told_once(tmp_path: Path) -> None:
    with engine(tmp_path, Fleet(script={"drain": [{"state": DONE, "reason": EMPTY}]})):
        done = eas(tmp_path, "drain")
    assert done.stdout == f"digits: takes nothing new ({EMPTY}); `eas-engine start` undoes it\n"
    assert "start" not in EMPTY
