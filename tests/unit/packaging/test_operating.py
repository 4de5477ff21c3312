"""docs/operating.md is a story: its commands are run in order, and they print what it shows."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from eas_engine.cli.app import app
from eas_engine.operations import (
    FAILURES,
    Change,
    Effect,
    EventKind,
    OperationKind,
    OperationState,
    Plan,
    RefusedError,
    Version,
)
from eas_engine.spec.changes import AT_ONCE, ENGINE, INSTANCES, effect_of
from eas_engine.spec.parameters import all_parameters
from eas_engine.telemetry.comparison import Comparison, Side
from eas_engine.telemetry.status import InstanceStatus
from support.fleet import EPOCH, NOBODY, Fleet
from support.readme import blocks
from support.repository import ROOT
from support.running import engine
from support.updating import serving

PAGE = ROOT / "docs/operating.md"
STATE = "/var/lib/eas-engine"
PREPARING, ROLLING, DONE = OperationState.PREPARING, OperationState.ROLLING, OperationState.DONE
FAILED, TRYING = OperationState.FAILED, OperationState.TRYING
FAILURE = (
    "rolled back: digits-2 failed to start: initialize: ValueError: 9 labels, expected 10 (app.py, line 12)"
)


def version(number: int, state: str, **fields: object) -> Version:
    given = {"source": "/srv/digits/service.json", "kind": "update", "by": "anna@build", **fields}
    digest = f"{number * 0x1F3A5C7E9B:012x}" * 6
    return Version(number=number, time=EPOCH + 60 * number, digest=digest[:64], state=state, **given)  # type: ignore[arg-type]


def seat(number: int, state: str = "READY", **fields: object) -> InstanceStatus:
    given = {
        "threads": 5,
        "version": 6,
        "release": 4,
        "pids": (NOBODY + number,),
        **({"uptime": 3720.0} if state == "READY" else {}),
        **fields,
    }
    return InstanceStatus(name=f"digits-{number}", state=state, **given)  # type: ignore[arg-type]


def planned(fleet: Fleet) -> None:
    fleet.running = [seat(0), seat(1)]
    fleet.planned = Plan(
        effect=Effect.ROLLOUT,
        changes=(
            Change(path="metadata.rpc.keepalive", before=5000, after=2000, effect=Effect.AT_ONCE),
            Change(path="model_path", before="model-1", after="model-2", effect=Effect.ROLLOUT),
        ),
    )


def updated(fleet: Fleet) -> None:
    fleet.script["update"] = [
        {"fetching": {"model-2": (0, 96 << 20)}, "version": 2},
        {"fetching": {"model-2": (50 << 20, 96 << 20)}},
        {"state": ROLLING, "fetching": {}, "wanted": 2, "ready": 2},
        {"updated": 1},
        {"state": DONE, "updated": 2, "ended": EPOCH + 8.4},
    ]


def failed(fleet: Fleet) -> None:
    fleet.script["update"] = [
        {"state": ROLLING, "version": 3, "wanted": 2, "ready": 2},
        {"state": FAILED, "ended": EPOCH + 4, "reason": FAILURE},
    ]


def refused(fleet: Fleet) -> None:
    problem = {
        "path": "metadata.rpc.keepalive",
        "line": 7,
        "message": 'expected a number of ms, found "soon"',
    }
    fleet.refusing = RefusedError("/srv/digits/service.json: 1 problem", problems=(problem,))


def tried(fleet: Fleet) -> None:
    fleet.refusing = None
    fleet.script["update"] = [
        {"state": ROLLING, "version": 4, "wanted": 1, "ready": 0},
        {"state": TRYING, "updated": 1, "ready": 1},
    ]


def promoted(fleet: Fleet) -> None:
    found = Comparison(
        seconds=61.2,
        canary=Side(requests=1204, rejected=3, measured=1204, p50=0.0041, p99=0.0123),
        others=Side(requests=10853, errors=2, rejected=31, measured=1190, p50=0.0042, p99=0.0131),
    )
    how = {"kind": "canary", "share": 0.1, "objective": ""}
    fleet.tried = {"version": 4, **how, "ready": 1, "wanted": 1, **asdict(found)}
    fleet.script["promote"] = [
        {"version": 4, "updated": 1},
        {"state": DONE, "updated": 2, "ended": EPOCH + 3.1},
    ]


def listed(fleet: Fleet) -> None:
    fleet.held = [
        version(
            1, "replaced", kind="start", by="", instances=2, replaced_at=EPOCH + 121, files="90c34097b31bb51c"
        ),
        version(2, "replaced", instances=2, replaced_at=EPOCH + 241, files="90c34097b31bb51c"),
        version(3, "failed", instances=2, reason=FAILURE, files="824d2920be2a734c"),
        version(4, "current", instances=2, files="5f6d10b7c24e09a3"),
    ]


def rolled_back(fleet: Fleet) -> None:
    fleet.script["rollback"] = [
        {"state": ROLLING, "version": 2, "wanted": 2, "ready": 2},
        {"state": DONE, "updated": 2, "ended": EPOCH + 2.9},
    ]


def scaled(fleet: Fleet) -> None:
    fleet.script["scale"] = [
        {"ready": 3, "version": 6},
        {"state": DONE, "ready": 4, "ended": EPOCH + 1.2},
    ]


def seated(fleet: Fleet) -> None:
    crash = {"signal": 1}
    fleet.running = [
        seat(0),
        seat(1, busy_threads=3),
        seat(2, restarts=crash),
        seat(3, "WARMING", reason="warms up"),
    ]


def restarted(fleet: Fleet) -> None:
    fleet.running[3] = seat(3)
    fleet.script["restart"] = [
        {"state": ROLLING, "wanted": 4, "ready": 4},
        {"state": DONE, "ended": EPOCH + 6},
    ]
    fleet.script["replace"] = [{"state": DONE, "ended": EPOCH + 1.4}]


def stopped(fleet: Fleet) -> None:
    fleet.script["stop"] = [{"state": DONE, "ended": EPOCH + 0.5}]
    fleet.script["start"] = [{"state": DONE, "ended": EPOCH + 1}]


def told(fleet: Fleet) -> None:
    fleet.happened("version", "version 2 took the place of version 1", before=1, after=2)
    fleet.happened("update_failed", FAILURE, by="anna@build")
    fleet.happened("canary_ready", "version 4 is tried out: a canary of 0.1", by="anna@build", after=4)
    fleet.happened("scaled", "2 -> 4 instances", by="anna@build", before=2, after=4)


def nothing(_fleet: Fleet) -> None:
    """The story goes on by itself."""


def printed(fleet: Fleet) -> None:
    fleet.printed("digits-0", "loaded 784 weights")
    fleet.printed("digits-1", "loaded 784 weights")
    fleet.printed("digits-1", "a scan without ink", "stderr")


def asked_again(fleet: Fleet) -> None:
    fleet.script["scale"] = [{"state": DONE, "ready": 4, "ended": EPOCH + 1.2}]


STORY: Mapping[str, Callable[[Fleet], None]] = {
    "run: plan": planned,
    "run: update": updated,
    "run: update that fails": failed,
    "run: update that is refused": refused,
    "run: canary": tried,
    "run: promote": promoted,
    "run: versions": listed,
    "run: rollback": rolled_back,
    "run: scale": scaled,
    "run: instances": seated,
    "run: restart": restarted,
    "run: stop": stopped,
    "run: events": told,
    "run: operations": nothing,
    "run: logs": printed,
    "curl: scale": asked_again,
    "curl: wait": nothing,
    "curl: refused": nothing,
}


class Reader:
    """Somebody who types what the page shows, beside a service that goes by the story."""

    def __init__(self, place: Path, fleet: Fleet, port: int) -> None:
        self._place = place
        self._fleet = fleet
        self._port = port
        (place / "service.json").write_text('{"name": "digits"}')

    def said(self, command: str) -> str:
        """What a command prints, in the page's own names."""
        ours = command.startswith("eas-engine ")
        printed = self._run(shlex.split(command)[1:]) if ours else self._curl(command)
        printed = printed.replace(f"{socket.gethostname()}", "build").replace(
            str(self._place / "state"), STATE
        )
        printed = printed.replace(f"127.0.0.1:{self._port}", "127.0.0.1:9090")
        return "\n".join(line.rstrip() for line in printed.rstrip("\n").split("\n"))

    def _run(self, words: list[str]) -> str:
        state = str(self._place / "state")
        return CliRunner().invoke(app, words, env={"EAS_STATE_DIR": state, "LOGNAME": "anna"}).output

    def _curl(self, command: str) -> str:
        if shutil.which("curl") is None:
            pytest.skip("curl isn't installed (apt-get install curl)")
        here = command.replace(STATE, str(self._place / "state")).replace(
            "127.0.0.1:9090", f"127.0.0.1:{self._port}"
        )
        return subprocess.run(
            ["/bin/sh", "-c", here], check=True, capture_output=True, text=True, cwd=self._place
        ).stdout


@pytest.fixture(scope="module")
def told_story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Iterator[tuple[str, str]]]]:
    """The page's blocks with what their commands really print."""
    place = tmp_path_factory.mktemp("operating")
    fleet = Fleet()
    with pytest.MonkeyPatch.context() as patch, engine(place / "state", fleet, host="127.0.0.1"):
        patch.setenv("TZ", "UTC")
        patch.chdir(place)
        time.tzset()
        record = json.loads((place / "state/digits/engine.json").read_text())
        reader = Reader(place, fleet, record["admin_port"])

        def tell() -> Iterator[tuple[str, str]]:
            for name, _, text in blocks(PAGE):
                if name in STORY:
                    STORY[name](fleet)
                    commands = re.findall(r"^\$ ((?:.*\\\n)*.+)$", text, re.MULTILINE)
                    yield name, "\n".join(f"$ {one}\n{reader.said(one)}" for one in commands)

        yield tell
    time.tzset()


def test_every_block_is_part_of_the_story() -> None:
    assert [name for name, _, _ in blocks(PAGE)] == list(STORY)
    assert len(STORY) == PAGE.read_text().count("\n```") / 2


def test_what_it_shows_is_what_is_printed(told_story: Callable[[], Iterator[tuple[str, str]]]) -> None:
    shown = {name: text for name, _, text in blocks(PAGE)}
    for name, printed_ in told_story():
        assert printed_ == shown[name], name


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE.read_text())
    assert not [link for link in links if not (PAGE.parent / link.partition("#")[0]).exists()]


async def test_an_update_fails_with_the_words_that_it_shows(tmp_path: Path) -> None:
    refusal = "ValueError: 9 labels, expected 10 (app.py, line 12)"
    async with serving(tmp_path, metadata={"instance": 2}) as service:
        service.hosts.refusal = refusal
        done = await service.end(await service.update(text=service.file(model_config="refuse")))
    assert (done.state, done.reason) == (FAILED, FAILURE.replace("digits-2", done.reason.split()[2]))
    assert service.history.versions()[-1].reason == done.reason
    assert [one.text for one in service.events.since(0)][-1] == done.reason


# -- its tables


COSTS = {
    "at once": (Effect.AT_ONCE, AT_ONCE),
    "instances": (Effect.INSTANCES, INSTANCES),
    "rollout": (Effect.ROLLOUT, frozenset[str]()),
    "new start": (Effect.ENGINE, ENGINE),
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that begins with this line."""
    below = PAGE.read_text().split(f"\n{heading}\n", 1)[1].splitlines()[1:]
    table = list(itertools.takewhile(lambda line: line.startswith("|"), below))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def words(cell: str) -> list[str]:
    """What it has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_each_parameter_costs_what_it_says_and_none_is_left_out() -> None:
    paths = {one.path for one in all_parameters()}
    table = rows("| costs | | parameters |")
    assert [cost for cost, _, _ in table] == list(COSTS)
    for cost, _, parameters in table:
        effect, listed = COSTS[cost]
        named = words(parameters)
        assert len(named) == len(set(named)) > 0
        assert listed <= set(named), "an object that is listed may have parts of another cost"
        for name in named:
            within = [path for path in paths if path == name or path.startswith(f"{name}.")]
            assert {effect_of(path) for path in within} == {effect}, name


def test_every_kind_of_event_is_listed_and_no_other() -> None:
    listed = [kind for kinds, _ in rows("| kind | |") for kind in words(kinds)]
    assert sorted(listed) == sorted(get_args(EventKind))


def test_every_kind_of_event_is_told_by_the_engine() -> None:
    """Nothing else is: ``tell`` takes no other kind. An operation that failed has one of its own."""
    assert list(FAILURES) == list(get_args(OperationKind))
    tellers = (
        *("notes.py", "service.py", "moving.py"),
        *(f"updates/{one}.py" for one in ("instances", "updates", "holding", "trials")),
    )
    text = "".join((ROOT / "engine/eas_engine" / one).read_text() for one in tellers)
    assert [kind for kind in get_args(EventKind) if f'"{kind}"' not in text] == list(FAILURES.values())
